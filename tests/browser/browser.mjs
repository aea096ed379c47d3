// A headless Chromium, and what is true of every page of this project in it.

import { createRequire } from 'node:module';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const axe = createRequire(import.meta.url).resolve('axe-core');
const wide = { width: 1200, height: 800 };

export const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });

// Errors on the console, and requests to other servers.
export const complaints = [];

// Opens a page and waits for a part of it. Before that, `prepare` gets the empty page.
export async function open(url, part, options = {}, prepare = async () => {}) {
  // axe is added to the page by a script of its own, which the page's policy forbids elsewhere.
  const page = await (await browser.newContext({ bypassCSP: true, viewport: wide, ...options })).newPage();
  page.setDefaultTimeout(120_000); // of a machine with much else to do
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    // While a daemon is away the browser itself reports each failed request.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
  });
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    const isOwn = protocol === 'file:' ? request.url() === url : origin === new URL(url).origin;
    if (protocol !== 'data:' && !isOwn) complaints.push(`a request to ${request.url()}`);
  });
  await page.addInitScript(() => {
    globalThis.shifts = [];
    const place = ({ x, y, width, height }) => [x, y, width, height].map(Math.round).join(' ');
    const moved = ({ node, previousRect, currentRect }) => `${node?.nodeName} ${place(previousRect)} -> ${place(currentRect)}`;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        if (!entry.hadRecentInput) globalThis.shifts.push({ value: entry.value, moved: entry.sources.map(moved) });
      }
    }).observe({ type: 'layout-shift', buffered: true });
  });
  await prepare(page);
  await page.goto(url);
  await page.waitForSelector(part);
  return page;
}

export async function assertSteady(page, what = '') {
  const shifts = await page.evaluate(() => globalThis.shifts);
  const sum = shifts.reduce((sum, { value }) => sum + value, 0);
  assert(sum < 0.1, `${what} layout shift ${sum}: ${JSON.stringify(shifts)}`);
}

// Opens a page in each look: accessible, steady, not wider than the window. SCREENSHOTS/PREFIX-LOOK.png shows each.
export async function look(url, part, screenshots, prefix = '') {
  for (const [name, { media, ...options }] of Object.entries({
    light: {},
    dark: { colorScheme: 'dark' },
    phone: { viewport: { width: 390, height: 844 } },
    print: { viewport: { width: 720, height: 1000 }, media: 'print' },
  })) {
    // Before the page is there: a change of the media moves everything.
    const page = await open(url, part, options, async (page) => { if (media) await page.emulateMedia({ media }); });
    await page.addScriptTag({ path: axe });
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], name);
    const isWide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
    assert(!isWide, `${name}: the page scrolls sideways`);
    await assertSteady(page, name);
    if (screenshots) await page.screenshot({ path: `${screenshots}/${prefix}${name}.png`, fullPage: true });
    await page.context().close();
  }
}

export async function close() {
  await browser.close();
  assert.deepEqual(complaints, []);
}
