// "Where did my time go": what the server says of every turn, and whether the log that it says so from is whole.

import { spanText } from './draw.js'

const NAMES = ['White', 'Black']
const OVER = ['expired', 'completed', 'cancelled']

export async function openReview({ mesh, sessionId, token }) {
  const read = async (what) => {
    const response = await fetch(`${mesh}/v1/sessions/${sessionId}/${what}`, {
      headers: { authorization: `Bearer ${token}` },
    })
    if (!response.ok) throw new Error(await response.text())
    return (await response.json()).data
  }
  const dialog = document.querySelector('#review')
  const verified = document.querySelector('#verified')
  dialog.showModal()
  try {
    const [replay, steps] = await readAll(read)
    document
      .querySelector('#sums')
      .replaceChildren(...replay.shares.map((share, place) => drawShare(share, place, OVER.includes(replay.status))))
    document.querySelector('#turns').replaceChildren(...steps.map((step) => drawStep(step, replay.shares)))
    const { is_valid: isValid, entries, head } = await read('verify')
    verified.textContent = isValid
      ? `The log is whole: ${entries} entries, each with the hash of the one before (${head.slice(0, 12)}…), and replaying them gives this game.`
      : 'The log is not whole.'
  } catch (error) {
    verified.textContent = `It can not be read now: ${error.message}`
  }
}

/** All pages of the steps, with the shares of the last one: those are as of its time. */
async function readAll(read) {
  const steps = []
  let cursor = 0
  for (;;) {
    const page = await read(`replay?limit=200&cursor=${cursor}`)
    steps.push(...page.steps)
    cursor = page.next_cursor
    if (cursor === null) return [page, steps]
  }
}

function drawShare(share, place, isOver) {
  const rows = [
    ['thinking', share.own_main_ms + share.own_overtime_ms + share.own_free_ms + share.own_uncounted_ms],
    [isOver ? 'in the last turn' : 'in this turn', share.own_open_ms],
    ['on the way, free', share.own_lag_ms],
    [`${NAMES[1 - place]}’s turns`, share.others_ms],
    ['paused', share.paused_ms],
    ['server away, free', share.outage_ms],
  ]
  const section = document.createElement('section')
  const list = document.createElement('dl')
  for (const [name, ms] of [...rows.filter(([, ms]) => ms > 0), ['since the start', share.wall_ms]])
    list.append(element('dt', name), element('dd', spanText(ms)))
  section.append(element('h3', `${NAMES[place]}, ${share.turns} ${share.turns === 1 ? 'move' : 'moves'}`), list)
  return section
}

function drawStep(step, shares) {
  const nameOf = (id) => NAMES[shares.findIndex(({ participant_id: other }) => other === id)]
  const row = document.createElement('tr')
  if (step.outage_ms > 0) row.className = 'outage'
  const took = step.charge === null ? '' : spanText(step.charge.elapsed_ms)
  const [time] = step.at.split('T')[1].split('Z')
  row.append(...[time, textOf(step, nameOf), took, ...step.clocks_ms.map(clockText)].map((text) => element('td', text)))
  return row
}

function textOf(step, nameOf) {
  const lag = step.charge?.lag_ms > 0 ? `, ${spanText(step.charge.lag_ms)} of it on the way` : ''
  switch (step.kind) {
    case 'created':
      return 'The game was made'
    case 'started':
      return `${nameOf(step.next_participant_id)}’s clock was started`
    case 'switched':
      return `${nameOf(step.participant_id)} moved${lag}`
    case 'expired':
      return `${nameOf(step.participant_id)}’s flag fell`
    case 'adjusted':
      return `${nameOf(step.participant_id)} got ${spanText(step.adjusted_ms)}: ${step.reason}`
    case 'recovered':
      return `The server was away: ${spanText(step.outage_ms)} given back`
    default:
      return { paused: 'Paused', resumed: 'Resumed', completed: 'The game was ended' }[step.kind] ?? step.kind
  }
}

/** 4:05.1: what a clock has, exactly enough to reckon with. */
function clockText(ms) {
  const tenths = Math.floor(ms / 100)
  const seconds = Math.floor(tenths / 10)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}.${tenths % 10}`
}

function element(name, text) {
  return Object.assign(document.createElement(name), { textContent: text })
}
