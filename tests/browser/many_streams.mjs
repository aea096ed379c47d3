// The daemon's page with many streams: node many_streams.mjs URL STREAM
// Prints, as JSON: milliseconds to the first paint and to the chart, bytes and requests until then.

import assert from 'node:assert/strict';
import { close, open } from './browser.mjs';

const [url, stream] = process.argv.slice(2);
const chart = '#figure:not([hidden]) canvas';

// Once before, so that what is measured is the page and not the browser's own start.
await (await open(url, chart)).context().close();

let [bytes, requests, begun] = [0, 0, 0];
const page = await open(url, chart, {}, async (page) => {
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  network.on('Network.loadingFinished', ({ encodedDataLength }) => {
    bytes += encodedDataLength;
    requests += 1;
  });
  begun = performance.now();
});
const chart_ms = Math.round(performance.now() - begun);
const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
console.log(JSON.stringify({ first_paint_ms: Math.round(paint), chart_ms, bytes, requests }));

// The list is cut, and the search finds what is beyond it.
const listed = () => page.locator('#streams button').allTextContents();
await page.waitForFunction(() => document.querySelectorAll('#streams button').length > 0);
assert(!(await listed()).includes(stream), 'a stream beyond the list');
await page.fill('#search', stream);
await page.waitForFunction((name) => document.querySelector('#streams').textContent === name, stream);
await page.locator('#streams button').focus();
await page.keyboard.press('Enter');
await page.waitForFunction((name) => document.querySelector('#title').textContent === name, stream);
await page.waitForSelector(chart);
assert(bytes < 100_000, `${bytes} bytes`);

await close();
