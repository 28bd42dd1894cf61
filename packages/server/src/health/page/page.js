// The mesh page: the graph, its links and what happens to them.

const { $, el, svg, span, setState, single, ask, follow } = globalThis.ui
const HISTORY_MS = 10 * 60000
const TRANSITIONS_KEPT = 32 // by a link
let key = sessionStorage.getItem('ripstop.key') || ''
let graph,
  offsetMs = 0

const headers = () => (key ? { authorization: `Bearer ${key}` } : {})
const isUp = (state) => state === 'up' || state === 'degraded'

async function readGraph() {
  const response = await ask('/v1/mesh/graph', { headers: headers() })
  if (response.status === 401 || response.status === 403) return askForKey()
  if (!response.ok) throw new Error(`the mesh answered ${response.status}`)
  graph = (await response.json()).data
  offsetMs = Date.now() - Date.parse(graph.at)
  draw()
}
function askForKey() {
  $('login').hidden = false
  $('live').hidden = true
  setState('idle', 'locked')
}
const refresh = single(() => readGraph().catch(() => setState('down', 'not reachable')))

function draw() {
  $('login').hidden = true
  $('live').hidden = false
  const broken = graph.links.filter((link) => link.guarantees.critical && !isUp(link.live.state))
  const worse = graph.links.filter(
    (link) => link.live.state !== 'up' || link.live.breaker === 'open' || link.live.degradation?.active,
  )
  if (broken.length) setState('down', `not ready: ${[...new Set(broken.map((link) => link.name))].join(', ')}`)
  else if (worse.length) setState('degraded', `degraded: ${[...new Set(worse.map((link) => link.name))].join(', ')}`)
  else setState('up', 'all links proved')
  $('where').textContent = graph.processes.join(' · ')
  drawMap()
  drawLinks()
  tick()
}

/** Who uses which link, once each; of several processes with the same link the one in trouble is shown. */
function readEdges() {
  const edges = new Map()
  for (const link of graph.links) {
    const users = graph.uses.filter((use) => use.link === link.name)
    const shown = users.length ? users : [{ component: link.process, need: 'hard' }]
    for (const { component, need } of shown) {
      const id = `${component} ${link.to} ${link.name}`
      if (!edges.has(id) || !isUp(link.live.state)) edges.set(id, { from: component, to: link.to, need, link })
    }
  }
  return [...edges.values()]
}

/** Columns by the longest way from the left; the bounds end circles. */
function findColumns(edges) {
  const depth = new Map(edges.flatMap(({ from, to }) => [from, to]).map((name) => [name, 0]))
  for (let round = 0; round < depth.size; round++) {
    for (const { from, to } of edges) {
      const next = depth.get(from) + 1
      if (from !== to && depth.get(to) < next && next <= 5) depth.set(to, next)
    }
  }
  const columns = []
  for (const [name, column] of depth) columns[column] = [...(columns[column] || []), name]
  const rank = new Map()
  return columns.map((names) => {
    // Near to who uses it: fewer lines cross. The first column goes by name.
    const height = (name) => {
      const users = edges.filter(({ from, to }) => to === name && rank.has(from)).map(({ from }) => rank.get(from))
      return users.length ? users.reduce((sum, place) => sum + place, 0) / users.length : 0
    }
    names.sort((a, b) => height(a) - height(b) || (a < b ? -1 : 1))
    for (const [row, name] of names.entries()) rank.set(name, (row + 0.5) / names.length)
    return names
  })
}

const MAP = { width: 960, rowHeight: 64, boxWidth: 168, boxHeight: 46, nameFits: 18, nameMost: 23 }

function findPlaces(columns) {
  const rows = Math.max(1, ...columns.map((names) => names.length))
  const step = (MAP.width - MAP.boxWidth - 8) / Math.max(1, columns.length - 1)
  const places = new Map()
  for (const [column, names] of columns.entries()) {
    const x = columns.length === 1 ? (MAP.width - MAP.boxWidth) / 2 : 4 + column * step
    for (const [row, name] of names.entries()) {
      places.set(name, { x, y: 4 + ((row + 0.5) * rows * MAP.rowHeight) / names.length - MAP.boxHeight / 2 })
    }
  }
  return { places, height: rows * MAP.rowHeight + 8 }
}

function drawMap() {
  const edges = readEdges()
  const { places, height } = findPlaces(findColumns(edges))
  const label = 'Components and the links between them'
  const canvas = svg('svg', { viewBox: `0 0 ${MAP.width} ${height}`, role: 'img', 'aria-label': label })
  const parallel = new Map()
  for (const edge of edges) {
    const pair = `${edge.from} ${edge.to}`
    const count = parallel.get(pair) || 0
    parallel.set(pair, count + 1)
    canvas.append(drawEdge(edge, places.get(edge.from), places.get(edge.to), count * 7))
  }
  const broken = graph.links.filter((link) => !isUp(link.live.state))
  const hit = new Set(broken.flatMap((link) => [link.to, ...link.blast_radius.hard]))
  const kinds = new Map(graph.components.map(({ name, kind }) => [name, kind]))
  for (const [name, place] of places) canvas.append(drawBox(name, kinds.get(name) || 'process', place, hit.has(name)))
  $('map').replaceChildren(edges.length ? canvas : el('div', 'empty', 'No links yet.'))
}

function drawEdge({ need, link }, from, to, offset) {
  const middle = MAP.boxHeight / 2 + offset
  const x1 = from.x + MAP.boxWidth
  const bend = (to.x - x1) / 2
  const d = `M${x1} ${from.y + middle}C${x1 + bend} ${from.y + middle} ${to.x - bend} ${to.y + middle} ${to.x} ${to.y + middle}`
  const { state, why } = link.live
  const said = [`${link.name}: ${state}`, why, need === 'soft' && 'soft: only degrades'].filter(Boolean).join(', ')
  return svg('path', { class: `${state}${need === 'soft' ? ' soft' : ''}`, d }, svg('title', {}, said))
}

function drawBox(name, kind, { x, y }, isHit) {
  return svg(
    'g',
    { class: isHit ? 'hit' : '' },
    svg('rect', { x, y, width: MAP.boxWidth, height: MAP.boxHeight, rx: 8 }),
    drawName(name, x + 13, y + 20),
    svg('text', { x: x + 13, y: y + 36, class: 'kind' }, kind),
  )
}

/** A name that is a little too long is drawn narrower; one that is much too long is cut, and whole where the mouse rests. */
function drawName(name, x, y) {
  const fit = name.length > MAP.nameFits ? { textLength: MAP.boxWidth - 26, lengthAdjust: 'spacingAndGlyphs' } : {}
  const shown = name.length > MAP.nameMost ? `${name.slice(0, MAP.nameMost - 1)}…` : name
  const text = svg('text', { x, y, ...fit }, shown)
  if (shown !== name) text.append(svg('title', {}, name))
  return text
}

function drawLinks() {
  const order = { down: 0, connecting: 1, degraded: 2, up: 3 }
  const sorted = [...graph.links].sort(
    (a, b) =>
      (order[a.live.state] ?? 4) - (order[b.live.state] ?? 4) || (a.name + a.process < b.name + b.process ? -1 : 1),
  )
  $('links').replaceChildren(...sorted.map(card))
  if (!sorted.length)
    $('links').append(el('div', 'empty', 'This mesh has no links yet: declare upstreams in ripstop.yaml.'))
}

function card(link) {
  const { live, guarantees } = link
  const proof = el('dd', '', '')
  proof.dataset.proof = live.last_proof_at || ''
  proof.dataset.late = 3 * guarantees.heartbeat_ms + guarantees.probe_deadline_ms
  const fact = (name, value, className) =>
    el('div', '', el('dt', '', name), value instanceof Node ? value : el('dd', className || '', String(value)))
  const made = el(
    'article',
    `card ${live.state}`,
    el('div', 'top', el('span', 'name', link.name), el('span', `pill ${live.state}`, live.state)),
    el('div', 'target', `${link.process} → ${link.target}`),
    live.why && live.state !== 'up' ? el('p', 'why', live.why) : null,
    el(
      'dl',
      'facts',
      fact('proved', proof),
      fact('in flight', live.in_flight, live.waiting ? 'busy' : ''),
      fact('waiting', live.waiting, live.waiting ? 'busy' : ''),
      fact('generation', `#${live.generation}`),
    ),
    history(live),
    el('div', 'axis', el('span', '', '10 min ago'), el('span', '', 'now')),
    chips(link),
  )
  made.querySelector('.target').title = link.target
  return made
}

/** The states of the last ten minutes, as far as transitions were kept. A link that tries again is still down. */
function history(live) {
  const nowMs = Date.now() - offsetMs
  const startMs = nowMs - HISTORY_MS
  const [first] = live.transitions
  const before = first && live.transitions.length < TRANSITIONS_KEPT ? first.from : 'none'
  const points = [{ atMs: startMs, state: before }]
  for (const { at, from, to } of live.transitions) {
    points.push({ atMs: Date.parse(at), state: to === 'connecting' && from === 'down' ? 'down' : to })
  }
  const bar = el('div', 'history')
  for (const [index, { atMs, state }] of points.entries()) {
    const toMs = points[index + 1]?.atMs ?? nowMs
    const lengthMs = toMs - Math.max(startMs, atMs)
    if (lengthMs <= 0) continue
    const part = el('i', state === 'idle' ? 'none' : state)
    part.style.flexGrow = String(lengthMs)
    part.title = `${state} for ${span(lengthMs)}`
    bar.append(part)
  }
  return bar
}

function chips({ live, guarantees, last_drill: drill }) {
  const { retry, breaker, bulkhead, rate } = guarantees
  const texts = [
    guarantees.critical && ['critical', 'key'],
    live.breaker !== 'none' && live.breaker !== 'closed' && [`breaker ${live.breaker.replace('_', ' ')}`, 'hot'],
    live.degradation?.active && [`now: ${live.degradation.name}`, 'hot'],
    live.oldest_overdue_ms > 0 && [`overdue ${span(live.oldest_overdue_ms)}`, 'hot'],
    [`deadline ${span(guarantees.deadline_ms)}`],
    [`heals in ${span(guarantees.recover_within_ms)}`],
    drill && [`drilled ${drill.fault}: ${span(drill.recovered_ms)}`],
    retry.attempts > 1 && [`${retry.attempts} attempts`],
    breaker && [`breaker ${Math.round(breaker.failure_rate * 100)} %`],
    live.pool?.size > 0 ? [`pool ${live.pool.in_use} of ${live.pool.size}`] : [`at most ${bulkhead.concurrent}`],
    rate && [`${rate.per_second}/s`],
    guarantees.fallback && !live.degradation?.active && [`else ${guarantees.fallback}`],
  ]
  return el('div', 'chips', ...texts.filter(Boolean).map(([text, className]) => el('span', className || '', text)))
}

/** Ages grow between two readings. */
function tick() {
  for (const proof of document.querySelectorAll('[data-proof]')) {
    const at = Date.parse(proof.dataset.proof)
    const ageMs = Date.now() - offsetMs - at
    proof.textContent = Number.isNaN(at) ? 'never' : ageMs < 1000 ? 'just now' : `${span(ageMs)} ago`
    proof.className = Number.isNaN(at) || ageMs > Number(proof.dataset.late) ? 'late' : ''
  }
}

/** What the kernel calls an event, as people would say it. */
const WORDS = {
  start: 'started',
  backoff_over: 'tries again',
  opened: 'opened',
  probe_passed: 'proved',
  proved: 'proved',
}

function describe(event) {
  switch (event.type) {
    case 'transition':
      return [event.to, event.to, WORDS[event.why] ?? event.why]
    case 'breaker':
      return [event.to === 'closed' ? 'up' : 'degraded', `breaker ${event.to.replace('_', ' ')}`]
    case 'degradation':
      return [event.active ? 'degraded' : 'up', event.active ? 'degraded' : 'restored', event.name]
    default:
      return ['down', 'defect', `${event.what}: ${event.why}`]
  }
}

/** The newest row of each link, so that a link that tries again and again fills one row, not the list. */
const rows = new Map()

function told(event) {
  if (event.type === 'transition' && event.from === 'down' && event.to === 'connecting') return
  if (rows.size === 0) $('events').replaceChildren()
  const [className, word, more = ''] = describe(event)
  const at = el('time', '', new Date(event.at).toLocaleTimeString([], { hour12: false }))
  const text = `${word} ${more}`
  const id = `${event.process} ${event.link}`
  const last = rows.get(id)
  const count = last?.text === text ? last.count + 1 : 1
  if (count > 1) last.row.remove()
  const said = el('span', 'said', el('em', className, word), ` ${more}`, count > 1 ? el('i', '', ` ×${count}`) : null)
  const row = el('li', '', at, el('span', 'proc', event.process), el('b', '', event.link), said)
  rows.set(id, { row, text, count })
  $('events').prepend(row)
  while ($('events').children.length > 200) $('events').lastChild.remove()
}

/** What happened before the page was opened, as far as links remember. */
function tellPast() {
  const past = graph.links.flatMap(({ name, process, live }) =>
    live.transitions.map((transition) => ({ ...transition, type: 'transition', link: name, process })),
  )
  past.sort((a, b) => (a.at < b.at ? -1 : 1))
  for (const event of past.slice(-100)) told(event)
}

function begin() {
  if (!graph) return
  tellPast()
  follow({ path: '/v1/mesh/events', headers, hear, refused: askForKey, lost: () => setState('down', 'not reachable') })
}

function hear(name, event) {
  if (name !== 'hello' && name !== 'reset') told(event)
  refresh()
}

$('login').addEventListener('submit', (event) => {
  event.preventDefault()
  key = $('key').value.trim()
  sessionStorage.setItem('ripstop.key', key)
  refresh().then(begin)
})
refresh().then(begin)
setInterval(refresh, 2000)
setInterval(tick, 250)
