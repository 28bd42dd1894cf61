// The example's own server: it serves the page, makes games, and starts and stops clocks when a player asks. It alone talks with the API of
// the mesh, and alone has its key; a browser gets the token of one seat of one game.
// Invariants:
//   XC1. What a browser is given opens its own seat only; an API key is never part of it.
//   XC2. Who only watches changes nothing, whether over the socket or through this server.

import { createHash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { createImportMap, readModule } from './modules.ts'

export const SEATS = ['white', 'black', 'watch'] as const
export type Seat = (typeof SEATS)[number]

export interface Game {
  readonly sessionId: string
  readonly tokens: Readonly<Record<Seat, string>>
}

export interface Arbiter extends AsyncDisposable {
  readonly url: string
  /** `time`: minutes + seconds for every move. */
  readonly createGame: (time: string) => Promise<Game>
  readonly act: (game: Game, action: Action) => Promise<void>
  readonly linkTo: (game: Game, seat: Seat) => string
  /** Shown on the page. */
  readonly tell: (what: string) => void
}

export interface ArbiterOptions {
  readonly port: number
  readonly mesh: string
  readonly apiKey?: string | undefined
}

const ACTIONS = ['start', 'pause', 'resume', 'complete'] as const
type Action = (typeof ACTIONS)[number]
const GAMES_MAX = 200
const TOKEN_TTL_S = 14_400
const PATIENCE_MS = 8_000
const RETRY_MS = 250
const NEWS_MAX = 20
const FILES: Readonly<Record<string, string>> = { '/': 'index.html', '/play': 'game.html' }
const TYPES: Readonly<Record<string, string>> = { html: 'text/html', css: 'text/css', js: 'text/javascript' }

export async function startArbiter(options: ArbiterOptions): Promise<Arbiter> {
  const games = new Map<string, Game>()
  const news: { readonly at: number; readonly what: string }[] = []
  const api = createApi(options)

  const createGame = async (time: string): Promise<Game> => {
    const game = await api.createGame(time)
    if (games.size >= GAMES_MAX) games.delete(games.keys().next().value as string)
    games.set(game.sessionId, game)
    return game
  }
  const linkTo = ({ sessionId, tokens }: Game, seat: Seat): string => `/play#${seat}.${sessionId}.${tokens[seat]}`

  /** Players may start and stop the clocks of their game; the token that they sit with says who asks. */
  const actFor = async (sessionId: string, action: string, token: string): Promise<void> => {
    const game = games.get(sessionId)
    if (game === undefined || (token !== game.tokens.white && token !== game.tokens.black))
      throw new Refusal(403, 'this is no seat of a player')
    if (!ACTIONS.includes(action as Action)) throw new Refusal(404, 'there is no such action')
    await api.act(game, action as Action)
  }

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname } = new URL(request.url ?? '/', 'http://arbiter')
    const [, collection, sessionId = '', action = ''] = pathname.split('/')
    if (request.method === 'POST' && collection === 'games') {
      const body = JSON.parse((await readBody(request)) || '{}') as { time?: string; token?: string }
      if (sessionId !== '')
        return send(response, 'json', JSON.stringify(await actFor(sessionId, action, body.token ?? '')) ?? '{}')
      const game = await createGame(body.time ?? '5+0')
      return send(response, 'json', JSON.stringify(Object.fromEntries(SEATS.map((seat) => [seat, linkTo(game, seat)]))))
    }
    if (pathname === '/news') return send(response, 'json', JSON.stringify(news))
    if (collection === 'modules') return send(response, 'js', await readModule(pathname))
    return send(response, ...(await readPage(pathname, options)))
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      const status = error instanceof Refusal ? error.status : 502
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(String((error as Error).message))
    })
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    createGame,
    act: api.act,
    linkTo,
    tell: (what) => {
      news.unshift({ at: Date.now(), what })
      news.length = Math.min(news.length, NEWS_MAX)
    },
    [Symbol.asyncDispose]: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

class Refusal extends Error {
  readonly status: number
  constructor(status: number, message = 'the mesh can not be reached') {
    super(message)
    this.status = status
  }
}

interface Api {
  readonly createGame: (time: string) => Promise<Game>
  readonly act: (game: Game, action: Action) => Promise<void>
}

function createApi({ mesh, apiKey }: ArbiterOptions): Api {
  /** The same key for all tries: what was done already is not done twice. */
  const ask = async <T>(path: string, body: object): Promise<T> => {
    const key = randomUUID()
    for (const untilMs = Date.now() + PATIENCE_MS; ; ) {
      const response = await send(path, body, key)
      if (response?.ok === true) return ((await response.json()) as { data: T }).data
      const isFinal = response !== undefined && response.status < 500
      if (isFinal || Date.now() > untilMs) throw new Refusal(response?.status ?? 503, await response?.text())
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
  /** Undefined: nobody is there. */
  const send = (path: string, body: object, key: string): Promise<Response | undefined> =>
    fetch(`${mesh}/v1/sessions${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': key,
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify(body),
    }).catch(() => undefined)
  return {
    createGame: async (time) => {
      const [minutes = 5, seconds = 0] = time.split('+').map(Number)
      const total_time_ms = Math.round(minutes * 60_000)
      const players = [randomUUID(), randomUUID()]
      const sessionId = randomUUID()
      await ask('', {
        session_id: sessionId,
        sync_mode: 'per_participant',
        participants: players.map((participant_id, participant_index) => ({
          participant_id,
          participant_index,
          total_time_ms,
        })),
        total_time_ms,
        increment_ms: seconds * 1_000,
        action_on_timeout: 'end',
        lag_compensation: true,
        metadata: { game: 'chess', time },
      })
      const tokenFor = async (claim: object): Promise<string> =>
        (await ask<{ token: string }>(`/${sessionId}/tokens`, { ...claim, ttl_s: TOKEN_TTL_S })).token
      const [white, black, watch] = await Promise.all([
        tokenFor({ role: 'participant', participant_id: players[0] }),
        tokenFor({ role: 'participant', participant_id: players[1] }),
        tokenFor({ role: 'spectator' }),
      ])
      return { sessionId, tokens: { white, black, watch } }
    },
    act: async ({ sessionId }, action) => void (await ask(`/${sessionId}/${action}`, {})),
  }
}

/** A file of the page: what it says of the mesh, and where its modules are, is filled in. */
async function readPage(path: string, { mesh }: ArbiterOptions): Promise<[string, string | undefined, string?]> {
  const name = FILES[path] ?? path.slice(1)
  const ending = name.split('.').at(-1) ?? ''
  if (!/^[a-z-]+\.(html|css|js)$/.test(name)) return ['html', undefined]
  const text = await readFile(join(import.meta.dirname, 'page', name), 'utf8').catch(() => undefined)
  if (ending !== 'html' || text === undefined) return [ending, text]
  const map = JSON.stringify(createImportMap())
  const html = text.replace('/* imports */', () => map).replace('/* mesh */', () => JSON.stringify({ mesh }))
  // A policy that lets nothing run but what is served here, and the import map.
  const hash = createHash('sha256').update(map).digest('base64')
  const ws = mesh.replace(/^http/, 'ws')
  return [
    ending,
    html,
    `default-src 'none'; script-src 'self' 'sha256-${hash}'; style-src 'self'; img-src data:; connect-src 'self' ${mesh} ${ws}`,
  ]
}

function send(response: ServerResponse, ending: string, text: string | undefined, policy?: string): void {
  if (text === undefined) throw new Refusal(404, 'there is no such thing here')
  response
    .writeHead(200, {
      'content-type': `${TYPES[ending] ?? 'application/json'}; charset=utf-8`,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...(policy === undefined ? {} : { 'content-security-policy': policy }),
    })
    .end(text)
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) {
    text += chunk
    if (text.length > 10_000) throw new Refusal(413, 'too long')
  }
  return text
}
