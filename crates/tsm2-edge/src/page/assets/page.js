'use strict';
// The page of the daemon. State in the address: #stream/variate, so that a view can be kept as a bookmark.

const $ = (id) => document.getElementById(id);
const state = { stream: '', variate: '', past: 0, data: null, chart: null, events: null, listing: null };

// ---- requests

async function ask(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem('token');
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(path, { headers, cache: 'no-store', ...options });
    if (answer.status !== 401) return answer;
    await login();
  }
}

async function json(path) {
  const answer = await ask(path);
  return answer.ok ? answer.json() : null;
}

let asking = null;
function login() {
  asking ??= new Promise((resolve) => {
    $('login').addEventListener('close', () => {
      sessionStorage.setItem('token', $('token').value.trim());
      asking = null;
      resolve();
    }, { once: true });
    $('login').showModal();
  });
  return asking;
}

const query = (pairs) => new URLSearchParams(pairs).toString();

// ---- text

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);
function number(value) {
  if (!isNumber(value)) return '–';
  const digits = Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(Math.abs(value) || 1))));
  return value.toLocaleString(undefined, { maximumFractionDigits: digits });
}
const count = (value) => value.toLocaleString();
const clock = (ms) => new Date(ms).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' });

// Replaces the children of a list only when they change, so that the focus stays.
function fill(parent, key, make) {
  const text = JSON.stringify(key);
  if (parent.dataset.key === text) return;
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.name : null;
  parent.dataset.key = text;
  parent.replaceChildren(...make());
  if (focused !== null) [...parent.querySelectorAll('button')].find((button) => button.dataset.name === focused)?.focus();
}

// Nothing moves however late an answer comes: all below the header is shown together, with the first answer about a stream.
const settle = () => document.querySelector('main').classList.remove('pending');

// ---- header and rejections

async function showStatus() {
  let status = null;
  try { status = await json('api/status'); } catch { /* the daemon is not there */ }
  const line = $('state');
  if (!status) {
    line.textContent = 'The daemon does not answer. Trying again.';
    line.className = 'bad';
    return;
  }
  line.textContent = status.not_ready ? `not ready: ${status.not_ready}` : 'ready';
  line.className = status.not_ready ? 'bad' : 'good';
  $('counts').textContent = `${count(status.readings)} readings, ${count(status.time_steps)} time steps, `
    + `${count(status.forecasts)} forecasts, version ${status.version}`;
  const reasons = Object.entries(status.rejected);
  $('rejected').textContent = reasons.length
    ? reasons.map(([reason, number]) => `${reason}: ${count(number)}`).join(', ') : 'None.';
  fill($('rejections'), status.rejections, () => status.rejections.map((rejection) =>
    element('li', `${clock(rejection.time_ms)}  ${rejection.message}`)));
}

// ---- list of streams

async function showStreams() {
  let listing = null;
  try { listing = await json(`api/streams?${query({ search: $('search').value })}`); } catch { return; }
  if (!listing) return;
  state.listing = listing;
  const hidden = listing.matching - listing.streams.length;
  $('listed').textContent = `${count(listing.matching)} of ${count(listing.total)}`
    + (hidden > 0 ? `; ${count(hidden)} more: search` : '');
  if (!state.stream && listing.streams.length) choose(listing.streams[0].name, '');
  if (!state.stream && !listing.streams.length) settle();
  fill($('streams'), [listing.streams.map(({ name, drifting }) => [name, drifting]), state.stream], () =>
    listing.streams.map(({ name, drifting }) => {
      const item = document.createElement('li');
      const button = element('button', drifting ? `${name} (drift)` : name, { type: 'button', 'data-name': name });
      if (name === state.stream) button.setAttribute('aria-current', 'true');
      button.addEventListener('click', () => choose(name, state.variate));
      item.append(button);
      return item;
    }));
}

// ---- one stream

function choose(stream, variate) {
  const address = `#${encodeURIComponent(stream)}/${encodeURIComponent(variate)}`;
  if (location.hash === address) follow();
  else location.hash = address;
}

function follow() {
  const [stream, variate] = location.hash.slice(1).split('/').map(decodeURIComponent);
  const isOther = (stream || '') !== state.stream;
  state.stream = stream || '';
  state.variate = variate || '';
  if (isOther) {
    state.data = null;
    listen();
    showStreams();
  }
  showSeries();
}

async function showSeries() {
  const { stream, variate } = state;
  if (!stream) return;
  let data = null;
  try { data = await json(`api/series?${query({ stream, variate })}`); } catch { return; }
  if (stream !== state.stream || variate !== state.variate) return;
  $('title').textContent = stream;
  $('hint').hidden = data !== null;
  $('figure').hidden = data === null;
  if (!data) {
    $('hint').textContent = 'No time step of this stream since the daemon started.';
    settle();
    return;
  }
  state.data = data;
  showVariates(data);
  showPast(data);
  draw(data);
  settle();
}

function showVariates(data) {
  fill($('variates'), [data.variates, data.variate], () => data.variates.map((variate) => {
    const row = document.createElement('tr');
    const name = document.createElement('td');
    const button = element('button', variate.unit ? `${variate.name} (${variate.unit})` : variate.name,
      { type: 'button', 'data-name': variate.name });
    if (variate.name === data.variate) button.setAttribute('aria-current', 'true');
    button.addEventListener('click', () => choose(state.stream, variate.name));
    name.append(button);
    const errors = variate.errors ?? {};
    const isBetter = errors.mae < errors.naive_mae;
    const coverage = isNumber(errors.coverage) ? `${(100 * errors.coverage).toFixed(0)} %` : '–';
    row.append(name, element('td', number(variate.value)),
      element('td', variate.is_target ? number(variate.last) : 'covariate'),
      element('td', number(errors.mae), isNumber(errors.mae) ? { class: isBetter ? 'good' : 'bad' } : {}),
      element('td', number(errors.naive_mae)),
      element('td', errors.drifting ? `${coverage}, drift` : coverage));
    return row;
  }));
  $('legend').textContent = `forecast: at step ${data.horizon}. error, naive: mean absolute error of the model and of `
    + 'repeating the last reading, at that step. coverage: share of readings within the interval.';
}

function showPast(data) {
  fill($('past'), data.past.map((past) => past.step), () =>
    data.past.map((past, index) => element('option', `${duration(past.step * data.interval_ms)} ahead`, { value: index }))
      .concat(element('option', 'none', { value: -1 })));
  $('past').value = Math.min(state.past, data.past.length - 1);
}

function duration(ms) {
  for (const [unit, length] of [['d', 86400000], ['h', 3600000], ['min', 60000]]) {
    if (ms >= length) return `${number(ms / length)} ${unit}`;
  }
  return `${number(ms / 1000)} s`;
}

// ---- the chart

// One row for each time of any curve: time, reading, past forecast, lower, upper, mean.
function rows(data) {
  const table = new Map();
  const put = (time, column, value) => {
    if (!table.has(time)) table.set(time, [null, null, null, null, null]);
    table.get(time)[column] = value;
  };
  data.history.time_ms.forEach((time, index) => put(time, 0, data.history.value[index]));
  const last = data.history.time_ms.at(-1);
  const past = data.past[state.past];
  past?.time_ms.forEach((time, index) => { if (time <= last) put(time, 1, past.value[index]); });
  const { forecast } = data;
  forecast?.mean.forEach((mean, step) => {
    const time = forecast.start_ms + step * data.interval_ms;
    put(time, 2, forecast.lower[step]);
    put(time, 3, forecast.upper[step]);
    put(time, 4, mean);
  });
  const times = [...table.keys()].sort((a, b) => a - b);
  return [times.map((time) => time / 1000), ...[0, 1, 2, 3, 4].map((column) => times.map((time) => table.get(time)[column]))];
}

function draw(data) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const columns = rows(data);
  const unit = data.variates.find((variate) => variate.name === data.variate)?.unit ?? '';
  const looks = JSON.stringify([data.variate, unit, colour('back'), state.stream]);
  if (state.chart && state.chart.looks !== looks) {
    state.chart.destroy();
    state.chart = null;
  }
  if (state.chart) {
    state.chart.setData(columns);
  } else {
    const axis = { stroke: colour('soft'), grid: { stroke: colour('line'), width: 1 }, ticks: { stroke: colour('line') } };
    const shown = (_, value) => (value == null ? '–' : number(value));
    const curve = (label, name, more) => ({ label, stroke: colour(name), points: { show: false }, value: shown, ...more });
    state.chart = new uPlot({
      ...size(), legend: { show: false },
      axes: [axis, { ...axis, size: 64, values: (_, ticks) => ticks.map(number) }],
      series: [{}, curve('reading', 'history', { width: 2 }), curve('past forecast', 'past', { width: 1 }),
        curve('lower', 'band', { width: 0 }), curve('upper', 'band', { width: 0 }),
        curve('forecast', 'forecast', { width: 2 })],
      bands: [{ series: [4, 3], fill: colour('band') }],
      hooks: { setCursor: [() => caption()] },
    }, columns, $('chart'));
    state.chart.looks = looks;
  }
  fill($('key'), [data.variate, unit], () => [document.createTextNode(`${data.variate} ${unit && `in ${unit}`}`),
    ...[['history', 'readings'], ['forecast', 'forecast'], ['band', 'prediction interval'], ['past', 'past forecasts']]
      .map(([name, text]) => {
        const item = element('span', '', { class: 'key' });
        item.append(element('span', '', { class: `swatch ${name}` }), text);
        return item;
      })]);
  caption();
}

// The numbers under the pointer, or the newest ones; also what a screen reader gets.
function caption() {
  const { chart, data } = state;
  if (!data) return;
  const index = chart?.cursor.idx;
  let text;
  if (index != null) {
    const [time, reading, past, lower, upper, mean] = chart.data.map((column) => column[index]);
    text = `${clock(time * 1000)}: ` + (isNumber(mean) ? `forecast ${number(mean)}, between ${number(lower)} and ${number(upper)}`
      : `reading ${number(reading)}${isNumber(past) ? `, forecast before ${number(past)}` : ''}`);
  } else {
    const { forecast, history } = data;
    text = `${clock(history.time_ms.at(-1))}: ${number(history.value.at(-1))}`;
    if (forecast) {
      const end = forecast.start_ms + (forecast.mean.length - 1) * data.interval_ms;
      text += `; ${clock(end)}: forecast ${number(forecast.mean.at(-1))}, between ${number(forecast.lower.at(-1))} `
        + `and ${number(forecast.upper.at(-1))}`;
    }
  }
  $('caption').textContent = text;
}

const size = () => ({ width: $('chart').clientWidth, height: $('chart').clientHeight });

// ---- server-sent events, read by fetch because EventSource cannot send a token

async function listen() {
  state.events?.abort();
  const events = state.events = new AbortController();
  const { stream } = state;
  while (stream && !events.signal.aborted) {
    try {
      const answer = await ask(`api/events?${query({ stream })}`, { signal: events.signal });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        if (value.includes('data:')) showSeries();
      }
    } catch { /* ended, or the daemon is not there */ }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

// ---- start

addEventListener('hashchange', follow);
addEventListener('resize', () => state.chart?.setSize(size()));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => state.data && draw(state.data));
$('past').addEventListener('change', () => { state.past = Number($('past').value); draw(state.data); });
$('search').addEventListener('input', () => showStreams());
setInterval(() => { showStatus(); showStreams(); }, 5000);
showStatus();
follow();
showStreams();
