import { RipstopError } from '@ripstop/kernel'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLog, type LogOptions } from './log.ts'

const SECRET = 'Sup3rS3cretValue'

function capture(options: Partial<LogOptions> = {}) {
  const lines: string[] = []
  const clock = { wallMs: () => Date.UTC(2026, 0, 2, 3, 4, 5, 678), monoMs: () => 0, schedule: () => () => {} }
  const log = createLog({
    level: 'info',
    processName: 'edge',
    clock,
    destination: { write: (line) => lines.push(line) },
    ...options,
  })
  return { log, lines }
}

describe('JSON', () => {
  it('a line has level, time, process, event and fields', () => {
    const { log, lines } = capture()
    log.info({ event: 'webhook.delivered', webhookId: 'w1', attempt: 2, durationMs: 12 })
    expect(lines).toEqual([
      `{"level":"info","time":"2026-01-02T03:04:05.678Z","process":"edge","pid":${process.pid},"event":"webhook.delivered","webhookId":"w1","attempt":2,"durationMs":12}\n`,
    ])
  })

  it('only what is important enough is written, and a child adds its fields once', () => {
    const { log, lines } = capture({ level: 'warn' })
    const child = log.child({ link: 'redis', attempt: 1 }).child({ attempt: 2, password: SECRET })
    child.debug({ event: 'a' })
    child.info({ event: 'b' })
    child.warn({ event: 'c', attempt: 3 })
    child.error({ event: 'd' })
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { level: 'warn', event: 'c', link: 'redis', attempt: 3, password: '[redacted]' },
      { level: 'error', event: 'd', link: 'redis', attempt: 2 },
    ])
    expect(lines[0]?.match(/attempt/g)).toHaveLength(1)
  })

  it('TE1: no secret gets into a line: not as a field, in an error, a URL, a child or a Secret', () => {
    for (const format of ['json', 'text'] as const) {
      const { log, lines } = capture({ format })
      const error = new RipstopError('LINK_DOWN', `postgres://app:${SECRET}@h/db`, {
        cause: new Error(`redis://:${SECRET}@h`),
        details: { headers: { cookie: SECRET } },
      })
      log.child({ request: { headers: { authorization: `Bearer ${SECRET}` } } }).error({
        event: 'link.failed',
        error,
        url: `http://u:${SECRET}@h`,
        token: SECRET,
        deep: [{ a: { password: SECRET } }],
      })
      expect(lines.join()).toContain('link.failed')
      expect(lines.join()).not.toContain(SECRET)
    }
  })

  it('a field can not pass for one of ours', () => {
    const { log, lines } = capture()
    log.info({ event: 'x.happened', level: 'error', pid: 1, time: 'never', process: 'root' })
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      level_: 'error',
      pid: process.pid,
      pid_: 1,
      process: 'edge',
      process_: 'root',
      time_: 'never',
    })
  })

  it('LG1: a destination that throws does no harm', () => {
    const { log } = capture({
      destination: {
        write: () => {
          throw new Error('gone')
        },
      },
    })
    expect(() => log.error({ event: 'x.happened' })).not.toThrow()
    expect(() => log.flush()).not.toThrow()
  })

  it('LG2: one line is one JSON object, whatever the fields hold', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.anything({ withBigInt: true, withDate: true, withMap: true })),
        fc.string(),
        (fields, event) => {
          const { log, lines } = capture()
          log.info({ ...fields, event })
          expect(lines).toHaveLength(1)
          expect(lines[0]?.indexOf('\n')).toBe((lines[0]?.length ?? 0) - 1)
          expect(typeof JSON.parse(lines[0] ?? '')).toBe('object')
        },
      ),
    )
  })
})

describe('text', () => {
  it('is aligned for people, with stacks below and no colours unless wanted', () => {
    const { log, lines } = capture({ format: 'text', level: 'debug' })
    log.info({ event: 'gateway.listening', port: 3000, url: 'http://127.0.0.1:3000' })
    log.warn({ event: 'link.down', why: 'connection refused', error: new Error('boom') })
    expect(lines[0]).toBe(
      '03:04:05.678 info  edge       gateway.listening            port=3000 url=http://127.0.0.1:3000\n',
    )
    expect(lines[1]).toMatch(
      /^03:04:05\.678 warn {2}edge {7}link\.down {20}why="connection refused" error=\{"name":"Error","message":"boom"\}\n {4}at .*\n/,
    )
    expect(lines.join()).not.toContain('\u001b')
    const coloured = capture({ format: 'text', coloured: true })
    coloured.log.error({ event: 'a.b' })
    expect(coloured.lines[0]).toContain('\u001b[31merror')
  })

  it('LG2: no field can move the cursor, colour the terminal or fake a line', () => {
    const { log, lines } = capture({ format: 'text' })
    log.info({
      event: 'x\u001b[2J\n12:00:00.000 error fake',
      field: 'a\r\u001b]0;title\u0007b\u202e',
      many: 'first\nsecond',
      'na\nme': 1,
    })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    expect(lines[0]).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f\u202e]/)
    const [first, ...below] = (lines[0] ?? '').trimEnd().split('\n')
    expect(first).toContain('12:00:00.000 error fake')
    expect(below).toEqual(['    second'])
  })
})
