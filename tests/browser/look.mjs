// A page that needs nothing but itself, in each look: node look.mjs FILE [SCREENSHOTS]

import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { close, look } from './browser.mjs';

const [file, screenshots] = process.argv.slice(2);
await look(pathToFileURL(file).href, 'h1', screenshots, `${path.parse(file).name}-`);
await close();
