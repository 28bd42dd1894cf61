import { hasCode, RipstopError } from '@ripstop/kernel'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseConfig } from './config.ts'
import { allPaths, load, refused, setAt } from './fixtures.ts'
import { loadConfig } from './load.ts'
import { schemaAt } from './schema-reading.ts'
import { createSettingsSchema } from './settings.ts'

describe('robustness', () => {
  const attempt = (run: () => unknown): void => {
    try {
      run()
    } catch (error) {
      expect(error).toBeInstanceOf(RipstopError)
      expect(hasCode(error, 'CONFIG_INVALID')).toBe(true)
    }
  }

  it('CF3: random data throws nothing but CONFIG_INVALID', () => {
    const env = fc.dictionary(
      fc.constantFrom('PORT', 'HOST', 'DATABASE_URL', 'REDIS_URL', 'TRUST_PROXY', 'RIPSTOP_ROLES'),
      fc.string(),
    )
    fc.assert(
      fc.property(
        fc.object({ maxDepth: 4, withNullPrototype: true, withDate: true, withMap: true, withBigInt: true }),
        env,
        (raw, variables) => attempt(() => parseConfig(raw, variables)),
      ),
      { numRuns: 300 },
    )
    fc.assert(
      fc.property(fc.anything(), (raw) => attempt(() => parseConfig(raw, {}))),
      { numRuns: 300 },
    )
  })

  it('CF3: random settings under real names throw nothing but CONFIG_INVALID', () => {
    const schema = createSettingsSchema()
    const paths = allPaths()
    const value = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.array(fc.string()),
      fc.jsonValue(),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...paths), value), { maxLength: 12 }), (settings) => {
        const tree: Record<string, unknown> = {}
        for (const [path, setting] of settings) setAt(tree, path, setting)
        attempt(() => parseConfig(tree, {}))
      }),
      { numRuns: 500 },
    )
    expect(paths.every((path) => schemaAt(schema, path) !== undefined)).toBe(true)
  })

  it('CF3: random text and broken YAML throw nothing but CONFIG_INVALID', () => {
    const piece = fc.constantFrom(
      'server:',
      '\n',
      '  ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '&a ',
      '*a',
      '!!set ',
      '!!binary ',
      '? ',
      '"',
      "'",
      '|',
      '>',
      '%YAML 1.1\n',
      '---',
      '...',
      '\t',
      'port',
      ': ',
      '<<',
      '#',
      '1',
      'null',
      `\${X}`,
      '@',
      '\u0000',
      '__proto__',
      'constructor',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => attempt(() => load(pieces.join('')))),
      { numRuns: 500 },
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => attempt(() => load(text))),
      { numRuns: 300 },
    )
  })

  it('CF3: bombs, depth, size, bad UTF-8 and unreadable files are problems', () => {
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x]',
      ...'bcdefghi'.split('').map((name, index) => `${name}: &${name} [${`*${'abcdefgh'[index]},`.repeat(9)}]`),
    ].join('\n')
    expect(refused(() => load(bomb)).message).toContain('too many aliases')
    const wide = `base: &base [${'x,'.repeat(2_000)}]\nlists: [${'*base,'.repeat(90)}]`
    expect(refused(() => load(wide)).message).toContain('too many values')
    expect(refused(() => load('[ '.repeat(100_000))).problems.length).toBeGreaterThan(0)
    expect(refused(() => load(`server: ${'{a: '.repeat(30)}1${'}'.repeat(30)}`)).message).toContain('levels')
    expect(refused(() => load(`# ${'x'.repeat(1_048_576)}`)).message).toContain('more than 1048576 bytes')
    expect(refused(() => load('a: &a [*a]')).problems.length).toBeGreaterThan(0)
    const read = (bytes: Uint8Array) => loadConfig({ env: {}, cwd: '/', readFile: () => bytes })
    expect(refused(() => read(new Uint8Array([0x61, 0xff, 0x3a]))).message).toContain('not UTF-8')
    expect(refused(() => loadConfig({ env: { RIPSTOP_CONFIG: '/nonexistent/x.yaml' }, cwd: '/' })).problems).toEqual([
      {
        path: '',
        where: 'RIPSTOP_CONFIG',
        wrong: 'names a file that cannot be read (ENOENT)',
        instead: 'name one that can',
      },
    ])
    expect(refused(() => loadConfig({ env: {}, cwd: '/', configPath: '/' })).message).toContain('--config')
    expect(refused(() => loadConfig({ env: {}, cwd: '/', configPath: '/dev/zero' })).message).toContain('bytes')
  })

  it('a setting that is named twice is a problem at the second place, even in a large file', () => {
    expect(refused(() => load('server:\n  port: 1\n  port: 2\n')).problems).toEqual([
      { path: '', where: 'ripstop.yaml:3:3', wrong: 'names a setting twice', instead: 'leave one of them' },
    ])
    const startMs = performance.now()
    const large = Array.from({ length: 88_000 }, (_, index) => `k${index}: 1`).join('\n')
    expect(refused(() => load(large)).message).toContain('too many values')
    expect(performance.now() - startMs).toBeLessThan(15_000) // comparing all pairs takes ten times as long
  })

  it('a key of the prototype is an unknown key and changes nothing', () => {
    const found = refused(() => load('__proto__: { polluted: 1 }\nserver: { constructor: 1, toString: 2 }\n'))
    expect(found.paths).toContain('server.constructor')
    expect(found.problems).toHaveLength(3)
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})
