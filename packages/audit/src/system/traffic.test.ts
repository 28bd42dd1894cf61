import { describe, expect, it } from 'vitest'
import { repositoryOf } from '../repository/repository.fixture.ts'
import { CAUSES, type Traffic, trafficOf } from './traffic.ts'

/** Causes by which a function of that name runs. */
function causes(traffic: Traffic, name: string): string {
  for (const file of traffic.program.files)
    for (const [block, { name: own }] of traffic.program.file(file)?.facts.blocks.entries() ?? [])
      if (own === name) return CAUSES.filter((cause) => traffic.runs({ file, block }, cause)).join(' ')
  return 'not there'
}

const SERVER = `import express from 'express'
import { Store } from './store'
const app = express()
const store = new Store()
app.post('/items/:id', (req, res) => { store.putItem(req.params.id, 'fixed'); res.end() })
setInterval(() => store.sweepItems(), 1000)
process.on('SIGTERM', () => store.closeItems())
prepare()
function prepare() { warm() }
function warm() {}
function lonely() {}
`
const STORE = `export class Store {
  putItem(id, kind) { this.keep(id, kind) }
  keep(key, kind) { write(key); write2(kind) }
  sweepItems() {}
  closeItems() {}
}
function write(value) { value }
function write2(value) { value }
`

describe('what runs because of what', () => {
  const traffic = trafficOf(repositoryOf({ 'src/server.js': SERVER, 'src/store.js': STORE }))

  it('TF1: is told by the chain of calls from an entry', () => {
    expect(causes(traffic, 'putItem')).toBe('traffic')
    expect(causes(traffic, 'keep')).toBe('traffic')
    expect(causes(traffic, 'sweepItems')).toBe('timer')
    expect(causes(traffic, 'closeItems')).toBe('shutdown')
    expect(causes(traffic, 'warm')).toBe('startup')
    expect(causes(traffic, 'lonely')).toBe('')
  })

  it('TF1: carries what differs from request to request, and not what is fixed', () => {
    const file = traffic.program.file('src/store.js')
    const blockOf = (name: string): number => file?.facts.blocks.findIndex((block) => block.name === name) ?? -1
    const value = { kind: 'path', path: { text: 'value', isOwn: false, root: 'param' } } as const
    expect(traffic.varies('src/store.js', blockOf('write'), value)).toBe(true)
    expect(traffic.varies('src/store.js', blockOf('write2'), value)).toBe(false)
  })

  it('TF1: takes what runs only the first time for start-up', () => {
    const lazy = (guard: string): Traffic =>
      trafficOf(
        repositoryOf({
          'app.py': `from fastapi import FastAPI
app = FastAPI()
registry = None

@app.get("/x/{key}")
def answer(key: str):
    global registry
    ${guard}
        registry = load(key)
    return registry

def load(key):
    return fill(key)

def fill(key):
    return key
`,
        }),
      )
    expect(causes(lazy('if registry is None:'), 'fill')).toBe('startup')
    expect(causes(lazy('if key:'), 'fill')).toBe('traffic')
  })

  it('TF2: ends where functions call each other in circles', () => {
    const circle =
      'import express from "express"\nconst app = express()\napp.get("/", (req) => a(req))\nfunction a(x) { b(x) }\nfunction b(y) { a(y) }\n'
    expect(causes(trafficOf(repositoryOf({ 'a.js': circle })), 'b')).toBe('traffic')
  })
})
