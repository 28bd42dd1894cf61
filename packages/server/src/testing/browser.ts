// A real browser for tests of pages: headless Chromium over the DevTools protocol. Nothing of its profile outlives the test.

import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { WebSocket } from 'ws'
import { makeScratch, until } from './processes.ts'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome']
const START_MS = 30_000

/** CHROMIUM, or the first on PATH. Undefined: tests that need one are skipped. */
export function findBrowser(): string | undefined {
  const { CHROMIUM, PATH = '' } = process.env
  if (CHROMIUM !== undefined) return CHROMIUM
  return PATH.split(delimiter)
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export interface Viewport {
  readonly width: number
  readonly height: number
  readonly scheme: 'light' | 'dark'
}

export interface Page {
  /** What went wrong in it: uncaught errors, and what its policy refused. */
  readonly problems: readonly string[]
  readonly open: (url: string) => Promise<void>
  readonly show: (viewport: Viewport) => Promise<void>
  /** The value of an expression, awaited. */
  readonly evaluate: <T>(expression: string) => Promise<T>
  /** Waits until the expression is true. */
  readonly until: (expression: string) => Promise<void>
  /** Keys as a person presses them: `Tab`, `Enter`, `Escape`, or a text. */
  readonly press: (key: 'Tab' | 'Enter' | 'Escape') => Promise<void>
  readonly type: (text: string) => Promise<void>
  /** Of all of the page, or of its first element that fits. */
  readonly screenshot: (file: string, selector?: string) => Promise<void>
}

export interface Browser extends AsyncDisposable {
  readonly page: () => Promise<Page>
}

interface Message {
  readonly id?: number
  readonly method?: string
  readonly sessionId?: string
  readonly params?: Readonly<Record<string, unknown>>
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly message: string }
}

type Send = (method: string, params?: object, sessionId?: string) => Promise<Readonly<Record<string, unknown>>>

export async function startBrowser(program: string): Promise<Browser> {
  const scratch = await makeScratch()
  const args = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run']
  const profile = [`--user-data-dir=${join(scratch.path, 'profile')}`, '--remote-debugging-port=0', 'about:blank']
  const child = spawn(program, [...args, ...profile], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-10_000)
  })
  const address = await until(
    'the browser says where it listens',
    () => /^DevTools listening on (ws:\S+)/m.exec(said)?.[1],
    START_MS,
  )
  const socket = new WebSocket(address, { perMessageDeflate: false })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  const listeners = new Set<(message: Message) => void>()
  const send = createSender(socket, listeners)
  return {
    page: () => openPage(send, listeners),
    [Symbol.asyncDispose]: async () => {
      socket.close()
      child.kill('SIGKILL')
      await scratch[Symbol.asyncDispose]()
    },
  }
}

function createSender(socket: WebSocket, listeners: ReadonlySet<(message: Message) => void>): Send {
  const waiting = new Map<number, PromiseWithResolvers<Readonly<Record<string, unknown>>>>()
  let lastId = 0
  socket.on('message', (data) => {
    const message = JSON.parse(String(data)) as Message
    const promise = message.id === undefined ? undefined : waiting.get(message.id)
    if (promise === undefined) {
      for (const listener of listeners) listener(message)
      return
    }
    waiting.delete(message.id as number)
    if (message.error === undefined) promise.resolve(message.result ?? {})
    else promise.reject(new Error(message.error.message))
  })
  return (method, params = {}, sessionId) => {
    const promise = Promise.withResolvers<Readonly<Record<string, unknown>>>()
    lastId++
    waiting.set(lastId, promise)
    socket.send(JSON.stringify({ id: lastId, method, params, ...(sessionId === undefined ? {} : { sessionId }) }))
    return promise.promise
  }
}

async function openPage(send: Send, listeners: Set<(message: Message) => void>): Promise<Page> {
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' })
  const { sessionId } = (await send('Target.attachToTarget', { targetId, flatten: true })) as { sessionId: string }
  const ask = (method: string, params?: object) => send(method, params, sessionId)
  const problems: string[] = []
  listeners.add((message) => {
    if (message.sessionId === sessionId) collectProblem(message, problems)
  })
  for (const domain of ['Page', 'Runtime', 'Log']) await ask(`${domain}.enable`)
  const evaluate = async <T>(expression: string): Promise<T> => {
    const { result, exceptionDetails } = (await ask('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })) as { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } }
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? 'it threw')
    return result.value
  }
  return {
    problems,
    evaluate,
    open: async (url) => {
      await ask('Page.navigate', { url })
      await until(`${url} is loaded`, () =>
        evaluate<boolean>(`location.href === ${JSON.stringify(url)} && document.readyState === 'complete'`).catch(
          () => false, // between two documents
        ),
      )
    },
    until: async (expression) => void (await until(expression, () => evaluate<boolean>(`Boolean(${expression})`))),
    show: async ({ width, height, scheme }) => {
      await ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false })
      await ask('Emulation.setScrollbarsHidden', { hidden: true }) // a picture beyond the window has none either
      await ask('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] })
    },
    press: async (key) => {
      const code = { Tab: 9, Enter: 13, Escape: 27 }[key]
      const base = { key, code: key, windowsVirtualKeyCode: code }
      await ask('Input.dispatchKeyEvent', { type: 'keyDown', ...base, ...(key === 'Enter' ? { text: '\r' } : {}) })
      await ask('Input.dispatchKeyEvent', { type: 'keyUp', ...base })
    },
    type: async (text) => void (await ask('Input.insertText', { text })),
    screenshot: async (file, selector) => {
      const box = `(({ x, y, width, height }) => ({ x: x + scrollX, y: y + scrollY, width, height, scale: 1 }))(document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect())`
      const clip = selector === undefined ? {} : { clip: await evaluate(box) }
      const { data } = await ask('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true, ...clip })
      await writeFile(file, Buffer.from(data as string, 'base64'))
    },
  }
}

function collectProblem({ method, params }: Message, problems: string[]): void {
  if (method === 'Runtime.exceptionThrown') {
    const { exceptionDetails } = params as { exceptionDetails: { text: string; exception?: { description?: string } } }
    problems.push(exceptionDetails.exception?.description ?? exceptionDetails.text)
  }
  if (method === 'Log.entryAdded') {
    const { entry } = params as { entry: { level: string; source: string; text: string; url?: string } }
    // A refused request is told by its status, which the page handles; a refused script is not.
    if (entry.level === 'error' && entry.source !== 'network') problems.push(entry.text)
  }
}
