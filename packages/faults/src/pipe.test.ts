import { expect, test } from 'vitest'
import { BUFFER_MAX, Pipe } from './pipe.ts'
import { type RunningToxic, Stage, type StageOutput } from './stage.ts'
import { parseToxic } from './toxics.ts'

/** Holds everything until it is healed. */
class Holding extends Stage {
  #held: Buffer[] = []
  override get heldBytes(): number {
    return this.#held.reduce((sum, { length }) => sum + length, 0)
  }
  override data(chunk: Buffer): void {
    this.#held.push(chunk)
  }
  override heal(): boolean {
    for (const chunk of this.#held.splice(0)) this.output.data(chunk)
    return true
  }
}

class Marking extends Stage {
  readonly #mark: string
  constructor(output: StageOutput, mark: string) {
    super(output)
    this.#mark = mark
  }
  override data(chunk: Buffer): void {
    this.output.data(Buffer.concat([chunk, Buffer.from(this.#mark)]))
  }
}

function createToxic(): RunningToxic {
  return { ...parseToxic({ type: 'latency' }), seen: 0 }
}

function createBench() {
  const seen = { text: '', ends: 0, reading: true, unsentBytes: 0 }
  const pipe = new Pipe({
    write: (chunk) => {
      seen.text += chunk.toString()
    },
    end: () => {
      seen.ends++
    },
    unsentBytes: () => seen.unsentBytes,
    setReading: (reading) => {
      seen.reading = reading
    },
  })
  return { pipe, seen }
}

test('PI1: reading stops at the bound and starts again below half of it', () => {
  const { pipe, seen } = createBench()
  const toxic = createToxic()
  pipe.add(toxic, (output) => new Holding(output))
  pipe.receive(Buffer.alloc(BUFFER_MAX - 1))
  expect(seen.reading).toBe(true)
  pipe.receive(Buffer.alloc(1))
  expect(seen.reading).toBe(false)
  seen.unsentBytes = BUFFER_MAX // now it is the socket that holds it
  pipe.heal(toxic)
  expect(seen.reading).toBe(false)
  seen.unsentBytes = BUFFER_MAX / 2 + 1
  pipe.balance()
  expect(seen.reading).toBe(false)
  seen.unsentBytes = BUFFER_MAX / 2
  pipe.balance()
  expect(seen.reading).toBe(true)
  expect(pipe.droppedBytes).toBe(0)
})

test('PI2: what a stage held when it is taken out goes through the stages behind it, before what comes next', () => {
  const { pipe, seen } = createBench()
  const toxic = createToxic()
  pipe.add(createToxic(), (output) => new Marking(output, '1'))
  pipe.add(toxic, (output) => new Holding(output))
  pipe.add(createToxic(), (output) => new Marking(output, '2'))
  pipe.receive(Buffer.from('a'))
  expect(seen.text).toBe('')
  pipe.heal(toxic)
  pipe.receive(Buffer.from('b'))
  pipe.receiveEnd()
  expect(seen).toMatchObject({ text: 'a12b12', ends: 1 })
})

test('PI3: a stage that still speaks when the pipe is over is not heard', () => {
  const { pipe, seen } = createBench()
  const outputs: StageOutput[] = []
  pipe.add(createToxic(), (output) => {
    outputs.push(output)
    return new Holding(output)
  })
  pipe.swallow()
  for (const output of outputs) {
    output.data(Buffer.from('late'))
    output.end()
  }
  expect(seen).toMatchObject({ text: '', ends: 0 })
})

test('PI3: a swallowed pipe passes nothing, not even what a stage held or an end, and reads on', () => {
  const { pipe, seen } = createBench()
  const toxic = createToxic()
  pipe.add(toxic, (output) => new Holding(output))
  pipe.receive(Buffer.alloc(BUFFER_MAX))
  expect(seen.reading).toBe(false)
  pipe.swallow()
  expect(seen.reading).toBe(true)
  pipe.receive(Buffer.from('lost'))
  pipe.heal(toxic)
  pipe.receiveEnd()
  expect(seen).toMatchObject({ text: '', ends: 0 })
  expect(pipe.droppedBytes).toBe(4)
})
