// A seat at the game. The SDK holds the session: it comes back by itself, and what is shown goes on meanwhile.

import { connectSession } from '@ripstop/sdk/sessions'
import { draw } from './draw.js'
import { openReview } from './review.js'

const OVER = ['expired', 'completed', 'cancelled']
const NEWS_MS = 1_500
const NEWS_SHOWN = 3

// #white.SESSION.TOKEN: what stands behind the hash is never sent to a server, and the token has dots of its own.
const [, seat, sessionId, token] = /^#(white|black|watch)\.([^.]+)\.(.+)$/.exec(location.hash) ?? []
const { mesh } = JSON.parse(document.querySelector('#mesh').textContent)
document.body.dataset.seat = seat ?? 'watch'

const session = connectSession({ url: mesh, sessionId, token })
let level
let awaySinceMs

session.subscribe(() => {
  const { status } = session.getSnapshot()
  awaySinceMs = status === 'reconnecting' ? (awaySinceMs ?? performance.now()) : undefined
})

function viewOf() {
  const { status, session: state, participantId, present, pending } = session.getSnapshot()
  const uncertaintyMs = session.uncertaintyMs()
  const players = state?.rules.participants ?? []
  return {
    seat,
    place: players.findIndex((player) => player.participantId === participantId),
    link: { live: 'live', reconnecting: 'away', closed: 'refused', connecting: 'connecting' }[status],
    awayMs: awaySinceMs === undefined ? 0 : performance.now() - awaySinceMs,
    uncertaintyMs: Number.isFinite(uncertaintyMs) ? uncertaintyMs : undefined,
    level,
    pending: pending.length,
    watching: present.others,
    status: state?.status,
    active: state?.active,
    sides: players.map(({ participantId: id, control }, place) => ({
      leftMs: session.remaining(id),
      startMs: control.mainMs,
      ...state.participants[place],
      isThere: present.participantIds.includes(id),
    })),
  }
}

function tap(place) {
  const { session: state, participantId } = session.getSnapshot()
  if (state?.status === 'pending' && seat !== 'watch') return ask('start')
  if (state?.status !== 'running' || state.rules.participants[place]?.participantId !== participantId) return
  session.command({ kind: 'switch' }).then(
    (answer) => {
      level = answer.level
    },
    (error) => console.warn(`the move was refused: ${error.code} ${error.message}`),
  )
}

/** What the arbiter does, who has more to say about a game than its players. */
async function ask(action) {
  const response = await fetch(`/games/${sessionId}/${action}`, { method: 'POST', body: JSON.stringify({ token }) })
  if (!response.ok) console.warn(await response.text())
}

for (const side of document.querySelectorAll('.side')) {
  // A clock counts from the touch, not from when the finger is lifted.
  side.addEventListener('pointerdown', () => tap(Number(side.dataset.place)))
  side.addEventListener('click', ({ detail }) => detail === 0 && tap(Number(side.dataset.place))) // by keyboard
}
const onClick = (selector, work) => document.querySelector(selector).addEventListener('click', work)
onClick('#pause', () => ask(session.getSnapshot().session?.status === 'paused' ? 'resume' : 'pause'))
onClick('#end', () => ask('complete'))
onClick('#explain', () => openReview({ mesh, sessionId, token }))

function frame() {
  const view = viewOf()
  draw(view)
  document.querySelector('#explain').classList.toggle('first', OVER.includes(view.status))
  requestAnimationFrame(frame)
}
frame()

async function readNews() {
  const news = await fetch('/news')
    .then((response) => response.json())
    .catch(() => [])
  const list = document.querySelector('#news')
  list.hidden = news.length === 0
  list.replaceChildren(
    ...news.slice(0, NEWS_SHOWN).map(({ at, what }) => {
      const time = new Date(at).toLocaleTimeString([], { hour12: false })
      return Object.assign(document.createElement('li'), { textContent: `${time} ${what}` })
    }),
  )
  setTimeout(readNews, NEWS_MS)
}
readNews()

// For tests, and for whoever opens the console.
globalThis.chessClock = { session, view: viewOf }
