import { expect, test } from 'vitest'
import { readSource } from './read-source.ts'

const LONG = 'a_'.repeat(600)

test.each([
  ['a.ts', `${LONG}()\n`],
  ['a.ts', `export function ${LONG}() {}\n`],
  ['a.ts', `x${'.y'.repeat(600)}()\n`],
  ['a.ts', `x${'\n  .y'.repeat(600)}()\n`],
  ['a.ts', `f({ a: [{ ${LONG}: 1 }] })\n`],
  ['a.ts', `const ${'ä'.repeat(1_100)} = 1\n`],
  ['a.py', `def f(${LONG}):\n    pass\n`],
  ['a.py', `import ${LONG}\n`],
])('QF4: %s with a name that goes on and on is not read', (file, source) => {
  const { facts, unread } = readSource(file, source)
  expect([facts, unread]).toEqual([
    undefined,
    { path: file, why: 'broken syntax', detail: 'a name of over 1000 characters' },
  ])
})

test.each([
  ['a.ts', `f('${LONG}', \`${LONG}\${x}\`) // ${LONG}\nconst r = /${LONG}/\n`],
  ['a.py', `f('${LONG}', f'${LONG}{x}')  # ${LONG}\n`],
  ['a.ts', `${'word '.repeat(400)}`.replaceAll(' ', '\n')],
])('QF4: %s whose texts are long is, and what they say is cut', (file, source) => {
  expect(readSource(file, source).facts?.file).toBe(file)
  const endless = readSource(file, source.replace(LONG, LONG.repeat(10))).facts
  expect(JSON.stringify(endless?.calls.map(({ args }) => args[0])).length).toBeLessThan(4_100)
})
