// The daemon's page, open until the end of the standard input: node watch.mjs URL
// Prints "open" when the page shows its chart.

import { close, open } from './browser.mjs';

const [url] = process.argv.slice(2);
await open(url, '#figure:not([hidden]) canvas');
console.log('open');
process.stdin.resume();
await new Promise((resolve) => process.stdin.once('end', resolve));
await close();
