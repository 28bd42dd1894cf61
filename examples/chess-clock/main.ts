// `npx node examples/chess-clock/main.ts [SECONDS]`: a mesh, a Redis if there is one on this machine, and a page with two chess clocks. Two
// robots play, and anybody may watch; every few seconds the mesh or Redis is killed with SIGKILL. At the end every move that was
// acknowledged must be in the log, the log must be whole, and all clocks must show the same. `--play` instead of SECONDS: no robots, the
// seats are yours, and it goes on until Ctrl-C.

import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { endChild, freePort, say, sleep, until } from '../running.ts'
import { type Arbiter, type Game, startArbiter } from './arbiter.ts'
import { Players } from './players.ts'
import { judge } from './verdict.ts'

const root = join(import.meta.dirname, '..', '..')
const stateDir = join(root, '.ripstop', 'chess-clock')
const isPlayed = process.argv[2] === '--play'
const seconds = isPlayed ? Number.POSITIVE_INFINITY : Number(process.argv[2] ?? 40)
const KILL_EVERY_MS = 6_000
const AWAY_MS = 1_500
const TIME = '10+0'

const [meshPort, pagePort, redisPort] = [await freePort(), await freePort(), await freePort()]
const mesh = `http://127.0.0.1:${meshPort}`
const redisProgram = findProgram('redis-server')
const running = new Map<string, ChildProcess>()
let isOver = false
process.once('SIGINT', () => {
  isOver = true
})

try {
  if (redisProgram !== undefined) startRedis(redisProgram)
  await startMesh()
  await using arbiter = await startArbiter({ port: pagePort, mesh })
  say(
    redisProgram === undefined
      ? 'no redis-server on PATH: Postgres alone'
      : 'sessions live in Redis, their log in Postgres',
  )
  await (isPlayed ? invite(arbiter) : playByRobots(arbiter))
} finally {
  await stop()
}

async function invite(arbiter: Arbiter): Promise<void> {
  say(`\n  open ${arbiter.url} and choose a time; Ctrl-C ends it\n`)
  await trouble(arbiter, () => !isOver)
}

async function playByRobots(arbiter: Arbiter): Promise<void> {
  const game = await arbiter.createGame(TIME)
  say(`\n  watch: ${arbiter.url}${arbiter.linkTo(game, 'watch')}\n`)
  using players = new Players(mesh, game)
  await until('all three are connected', async () => players.isLive)
  await arbiter.act(game, 'start')
  const endMs = Date.now() + seconds * 1_000
  await trouble(arbiter, () => Date.now() < endMs && !isOver, players)
  process.exitCode = (await end(arbiter, game, players)) ? 0 : 1
}

async function end(arbiter: Arbiter, game: Game, players: Players): Promise<boolean> {
  await until('all three are connected again', async () => players.isLive)
  await players.rest()
  await arbiter.act(game, 'complete')
  const { text, isGood } = await judge(mesh, game, players)
  say(text)
  return isGood
}

/** Kills one after the other, and starts it again. */
async function trouble(arbiter: Arbiter, goesOn: () => boolean, players?: Players): Promise<void> {
  const victims = redisProgram === undefined ? ['mesh'] : ['mesh', 'Redis']
  for (let turn = 0; goesOn(); turn++) {
    for (let waited = 0; waited < KILL_EVERY_MS && goesOn(); waited += 100) await sleep(100)
    if (!goesOn()) return
    const victim = victims[turn % victims.length] as string
    await kill(victim)
    const moves = players === undefined ? '' : `; ${players.promised.length} moves acknowledged so far`
    say(`killed ${victim} with SIGKILL${moves}`)
    arbiter.tell(`${victim} was killed`)
    await sleep(AWAY_MS)
    if (victim === 'Redis') startRedis(redisProgram as string)
    else await startMesh()
    arbiter.tell(`${victim} is back`)
  }
}

async function startMesh(): Promise<void> {
  const bin = join(root, 'packages', 'server', 'bin', 'ripstop.js')
  const environment = {
    LOG_LEVEL: 'error',
    LOG_FORMAT: 'text',
    ...process.env,
    RIPSTOP_STATE_DIR: stateDir,
    PORT: String(meshPort),
    // The page comes from elsewhere, and may call the mesh all the same.
    ALLOWED_ORIGINS: `http://127.0.0.1:${pagePort},http://localhost:${pagePort}`,
    ...(redisProgram === undefined ? {} : { REDIS_URL: `redis://127.0.0.1:${redisPort}` }),
  }
  run('mesh', process.execPath, [bin, 'up', '--config', join(import.meta.dirname, 'ripstop.yaml')], environment)
  await until('the mesh is up', async () => (await fetch(`${mesh}/readyz`).catch(() => undefined))?.ok === true)
}

function startRedis(program: string): void {
  const dir = join(stateDir, 'redis')
  mkdirSync(dir, { recursive: true })
  const durable = ['--appendonly', 'yes', '--appendfsync', 'everysec', '--save', '']
  run('Redis', program, ['--port', String(redisPort), '--bind', '127.0.0.1', '--dir', dir, ...durable], process.env)
}

function run(name: string, program: string, args: readonly string[], env: NodeJS.ProcessEnv): void {
  running.set(name, spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'], env }))
}

async function kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  const child = running.get(name)
  running.delete(name)
  await endChild(child, signal)
}

async function stop(): Promise<void> {
  await kill('mesh', 'SIGTERM')
  await kill('Redis', 'SIGTERM')
}

function findProgram(name: string): string | undefined {
  const paths = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name))
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false // not this one
    }
  })
}
