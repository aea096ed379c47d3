// The daemon's page in a browser: node page.mjs URL STREAM [SCREENSHOTS]
// Prints "restart" when the daemon should be ended and started again, and "done" at the end.

import { createRequire } from 'node:module';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const [url, stream, screenshots] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const axe = createRequire(import.meta.url).resolve('axe-core');
const complaints = [];

async function open(options) {
  // axe is added to the page by a script of its own, which the page's policy forbids elsewhere.
  const page = await (await browser.newContext({ bypassCSP: true, ...options })).newPage();
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    // While the daemon is away the browser itself reports each failed request.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
  });
  await page.addInitScript(() => {
    globalThis.shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) globalThis.shift += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
  });
  await page.goto(url);
  await page.waitForSelector('#figure:not([hidden]) canvas');
  return page;
}

const changed = (page, selector, before) =>
  page.waitForFunction(([at, text]) => document.querySelector(at).textContent !== text, [selector, before]);

for (const [name, options] of Object.entries({
  light: { viewport: { width: 1200, height: 800 } },
  dark: { viewport: { width: 1200, height: 800 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 } },
})) {
  const page = await open(options);
  await page.addScriptTag({ path: axe });
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], name);
  const isWide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  assert(!isWide, `${name}: the page scrolls sideways`);
  if (screenshots) await page.screenshot({ path: `${screenshots}/${name}.png` });
  await page.context().close();
}

const page = await open({ viewport: { width: 1200, height: 800 } });
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
const shift = await page.evaluate(() => globalThis.shift);
assert(shift < 0.1, `layout shift ${shift}`);

console.log('restart');
await page.waitForSelector('#state.bad');
await page.waitForSelector('#state.good');
await changed(page, '#caption', await page.textContent('#caption'));

assert.deepEqual(complaints, []);
await browser.close();
console.log('done');
