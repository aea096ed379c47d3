// A picture of the top of a page: node picture.mjs URL PART FILE

import { close, open } from './browser.mjs';

const [url, part, path] = process.argv.slice(2);
const page = await open(url, part);
await page.screenshot({ path });
await close();
