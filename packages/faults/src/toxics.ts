// Toxics as data: what each is called, what it takes, and how unknown input becomes one. Names, attributes, streams,
// defaults and toxicity of the first eight are Toxiproxy's (Shopify/toxiproxy 2.12, api.go and toxics/*.go), so that
// its clients and their tests run unchanged; `down` is a switch there and a toxic too here; the others are ours.
// Invariants:
//   TX1. What is not exactly a toxic is refused with FAULT_INVALID and a message that names the part to correct.

import { fault } from './codes.ts'

/** Which way the bytes go: `upstream` is client to server, `downstream` server to client. */
export type Direction = 'upstream' | 'downstream'

/** What each toxic takes. Every attribute may be left out; the default stands in brackets. */
export interface ToxicAttributes {
  /** Delays everything by `latency` ± `jitter` ms [0, 0], in order. */
  latency: { latency?: number; jitter?: number }
  /** Refuses new connections and closes the open ones, as `disable()` does. */
  down: Record<string, never>
  /** At most `rate` kB (1,000 bytes) a second [0: nothing passes]. */
  bandwidth: { rate?: number }
  /** Holds back the end of the stream by `delay` ms [0]. */
  slow_close: { delay?: number }
  /** Drops everything and closes after `timeout` ms [0: never]. Removing it closes the connections it held. */
  timeout: { timeout?: number }
  /** Resets (RST) `timeout` ms [0] after the next bytes, or the end, come this way. */
  reset_peer: { timeout?: number }
  /** Cuts into pieces of `average_size` ± `size_variation` bytes [1, 0] with `delay` microseconds [0] between. */
  slicer: { average_size?: number; size_variation?: number; delay?: number }
  /** Closes the connection once `bytes` [0] have passed this way. */
  limit_data: { bytes?: number }
  /** Open connections stay open and swallow everything, both ways and for ever; new ones too if `new` [false]. */
  half_open: { new?: boolean }
  /** Open and new connections stay open and swallow everything, both ways and for ever. */
  black_hole: Record<string, never>
  /** New connections die once the client has spoken and `bytes` [0] of the answer passed: by FIN, or RST if `reset` [false]. */
  die_in_handshake: { bytes?: number; reset?: boolean }
  /** New connections are accepted and closed (FIN) at once. */
  accept_then_fin: Record<string, never>
  /** Passes `bytes` [1] every `every_ms` [100]. */
  slow_drip: { bytes?: number; every_ms?: number }
  /** HTTP/1: each `every`-th [1] response is replaced by an empty-handed one with `status` [503]. The server did the work. */
  http_error: { status?: number; every?: number }
  /** HTTP/1: each `every`-th [1] response is reset (RST) once `bytes` [0] of its body passed. A shorter one passes whole. */
  http_reset_body: { bytes?: number; every?: number }
  /** HTTP/1: each `every`-th [1] request is sent to the server twice; the client gets the answer to the first. */
  http_duplicate: { every?: number }
}

export type ToxicType = keyof ToxicAttributes

/** A toxic to add. `stream` [downstream] and `toxicity` [1] as in Toxiproxy; `name` defaults to `<type>_<stream>`. */
export type ToxicSpec = {
  [Type in ToxicType]: {
    readonly type: Type
    readonly name?: string
    /** Toxics that concern the whole connection (`down`, `half_open`, `black_hole`, `die_…`, `accept_…`, `http_…`) ignore it. */
    readonly stream?: Direction
    /** The chance, drawn once a connection, that the toxic takes hold of it. */
    readonly toxicity?: number
    readonly attributes?: Readonly<ToxicAttributes[Type]>
  }
}[ToxicType]

/** A toxic that is on. Attributes are complete. */
export interface Toxic {
  readonly name: string
  readonly type: ToxicType
  readonly stream: Direction
  readonly toxicity: number
  readonly attributes: Readonly<Record<string, number | boolean>>
}

interface Limits {
  readonly initial: number
  readonly min: number
  readonly max: number
}
type AttributeRules = Readonly<Record<string, Limits | boolean>>

const MS: Limits = { initial: 0, min: 0, max: 2_147_483_647 } // the longest that a timer can wait
const BYTES: Limits = { initial: 0, min: 0, max: Number.MAX_SAFE_INTEGER }
const EVERY: Limits = { initial: 1, min: 1, max: 1_000_000_000 }

const RULES: {
  readonly [Type in ToxicType]: Readonly<Record<keyof ToxicAttributes[Type] & string, Limits | boolean>>
} = {
  latency: { latency: MS, jitter: MS },
  down: {},
  bandwidth: { rate: BYTES },
  slow_close: { delay: MS },
  timeout: { timeout: MS },
  reset_peer: { timeout: MS },
  slicer: { average_size: { ...BYTES, initial: 1, min: 1 }, size_variation: BYTES, delay: BYTES },
  limit_data: { bytes: BYTES },
  half_open: { new: false },
  black_hole: {},
  die_in_handshake: { bytes: BYTES, reset: false },
  accept_then_fin: {},
  slow_drip: { bytes: { ...BYTES, initial: 1, min: 1 }, every_ms: { ...MS, initial: 100 } },
  http_error: { status: { initial: 503, min: 200, max: 599 }, every: EVERY },
  http_reset_body: { bytes: BYTES, every: EVERY },
  http_duplicate: { every: EVERY },
}

/** Every type of toxic there is. */
export const TOXIC_TYPES = Object.keys(RULES) as readonly ToxicType[]

/** Turns unknown input into a toxic with all its fields, or throws FAULT_INVALID. */
export function parseToxic(input: unknown): Toxic {
  const fields = parseObject(input, 'a toxic', ['name', 'type', 'stream', 'toxicity', 'attributes'])
  const stream = fields.stream ?? 'downstream'
  if (stream !== 'upstream' && stream !== 'downstream') {
    throw fault('FAULT_INVALID', 'stream was invalid, can be either upstream or downstream')
  }
  const type = fields.type
  if (typeof type !== 'string' || !isToxicType(type)) {
    throw fault('FAULT_INVALID', 'invalid toxic type', { details: { type, known: TOXIC_TYPES } })
  }
  return {
    name: parseToxicName(fields.name ?? '') || `${type}_${stream}`,
    type,
    stream,
    toxicity: parseToxicity(fields.toxicity ?? 1),
    attributes: parseAttributes(type, fields.attributes ?? {}, initialAttributes(type)),
  }
}

/** What `change` (`attributes` and `toxicity`, each optional) makes of `toxic`, or throws FAULT_INVALID. Other fields are ignored, as in Toxiproxy. */
export function parseToxicChange(toxic: Toxic, change: unknown): Pick<Toxic, 'attributes' | 'toxicity'> {
  const fields = parseObject(change, 'a change of a toxic', undefined)
  return {
    attributes: parseAttributes(toxic.type, fields.attributes ?? {}, toxic.attributes),
    toxicity: parseToxicity(fields.toxicity ?? toxic.toxicity),
  }
}

function isToxicType(type: string): type is ToxicType {
  return Object.hasOwn(RULES, type)
}

function parseToxicName(name: unknown): string {
  if (typeof name !== 'string' || name.length > 200) {
    throw fault('FAULT_INVALID', 'name must be a text of at most 200 characters')
  }
  return name
}

function parseToxicity(toxicity: unknown): number {
  if (typeof toxicity !== 'number' || !(toxicity >= 0 && toxicity <= 1)) {
    throw fault('FAULT_INVALID', 'toxicity must be a number from 0 to 1')
  }
  return toxicity
}

function initialAttributes(type: ToxicType): Toxic['attributes'] {
  const rules: AttributeRules = RULES[type]
  return Object.fromEntries(
    Object.entries(rules).map(([name, rule]) => [name, typeof rule === 'boolean' ? rule : rule.initial]),
  )
}

function parseAttributes(type: ToxicType, input: unknown, base: Toxic['attributes']): Toxic['attributes'] {
  const rules: AttributeRules = RULES[type]
  const given = parseObject(input, `the attributes of ${type}`, Object.keys(rules))
  const attributes: Record<string, number | boolean> = { ...base }
  for (const [name, rule] of Object.entries(rules)) {
    const value = given[name]
    if (value === undefined) continue
    if (typeof rule === 'boolean') {
      if (typeof value !== 'boolean') throw fault('FAULT_INVALID', `${type}.${name} must be true or false`)
      attributes[name] = value
    } else {
      if (typeof value !== 'number' || !(value >= rule.min && value <= rule.max)) {
        throw fault('FAULT_INVALID', `${type}.${name} must be a number from ${rule.min} to ${rule.max}`)
      }
      attributes[name] = value
    }
  }
  return attributes
}

/** An object with no other fields than `known` (all, if undefined), or throws FAULT_INVALID naming `what`. */
export function parseObject(
  input: unknown,
  what: string,
  known: readonly string[] | undefined,
): Readonly<Record<string, unknown>> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw fault('FAULT_INVALID', `${what} must be an object`)
  }
  const unknown = Object.keys(input).find((field) => known !== undefined && !known.includes(field))
  if (unknown !== undefined && known !== undefined) {
    const takes = known.length === 0 ? 'no field at all' : known.join(', ')
    throw fault('FAULT_INVALID', `${what} does not take ${JSON.stringify(unknown)}; it takes ${takes}`)
  }
  return { ...input }
}
