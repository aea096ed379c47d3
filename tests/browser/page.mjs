// The daemon's page in a browser: node page.mjs URL STREAM [SCREENSHOTS]
// Prints "end" when the daemon should be ended, "start" when it should be started again, and "done" at the end.

import assert from 'node:assert/strict';
import { assertSteady, close, look, open } from './browser.mjs';

const [url, stream, screenshots] = process.argv.slice(2);
const chart = '#figure:not([hidden]) canvas';
const changed = (page, selector, before) =>
  page.waitForFunction(([at, text]) => document.querySelector(at).textContent !== text, [selector, before]);

await look(url, chart, screenshots, 'page-');

// Answers that come late, each alone and all together, move nothing.
const phone = { viewport: { width: 390, height: 844 } };
for (const late of ['status', 'streams', 'series', '']) {
  await Promise.all([{}, phone].map(async (options) => {
    const seen = await open(url, chart, options, (page) => page.route(`**/api/${late}*`, async (route) => {
      await new Promise((resolve) => { setTimeout(resolve, 700); });
      await route.continue().catch(() => {});
    }));
    await seen.waitForFunction(() => document.querySelector('#counts').textContent !== '');
    await assertSteady(seen, `late: ${late || 'all'}`);
    await seen.context().close();
  }));
}

const page = await open(url, chart);
assert.equal(await page.textContent('#title'), stream);
await changed(page, '#caption', await page.textContent('#caption'));

// By keyboard alone: the second variate.
const second = page.locator('#variates button').nth(1);
await second.focus();
await page.keyboard.press('Enter');
const name = await second.textContent();
await page.waitForFunction((text) => document.querySelector('#key').textContent.startsWith(text), name);
await page.fill('#search', 'no such stream');
await page.waitForFunction(() => document.querySelectorAll('#streams button').length === 0);
await page.fill('#search', '');
await page.waitForFunction(() => document.querySelectorAll('#streams button').length > 0);
await assertSteady(page);

console.log('end');
await page.waitForSelector('#state.bad');
console.log('start');
await page.waitForSelector('#state.good');
await changed(page, '#caption', await page.textContent('#caption'));

await close();
console.log('done');
