import { expect, test } from 'vitest'
import { findAll } from '../../findings/findings.ts'
import { indexOf } from '../../folder.fixture.ts'
import { readFacts } from '../../readers/read-facts.ts'
import type { Repository } from '../../repository/repository.ts'
import { swallowedError } from './swallowed-error.ts'

function found(source: string, file = 'src/a.ts'): readonly string[] {
  const files = indexOf({ [file]: source })
  const { facts } = readFacts(files)
  const repository = { files, facts } as unknown as Repository
  return findAll([swallowedError], repository, 0).findings.flatMap(({ tier, evidence }) =>
    evidence.map(({ loc }) => `${tier} ${loc?.line}`),
  )
}

test.each([
  ['try {\n  await db.query(q)\n} catch {}', ['strong 3']],
  ['try {\n  cache.set(k, v)\n} catch (error) {\n}', ['strong 3']],
  ['async function f() { publish(m).catch(() => {}) }', ['strong 1']],
  ['try { value = JSON.parse(text) } catch {}', ['review 1']],
  ['try { await socket.close() } catch {}', ['review 1']],
  ['try { a = compute(b) } catch {}', ['review 1']],
])('FG1: %j has %j', (source, expected) => {
  expect(found(source)).toEqual(expected)
})

test.each([
  'try { await f() } catch (error) { log(error) }',
  'try { await f() } catch { failed = true }',
  'function g() { try { f() } catch { return undefined } }',
  'try { await f() } catch { throw new Error("x") }',
  'try { await f() } catch {\n  // the index is only a hint\n}',
  'publish(m).catch(() => {}) // the hint may be lost',
  'publish(m).catch((error) => log(error))',
  'list.catch(1, () => {})',
])('FG1: %j is silent', (source) => {
  expect(found(source)).toEqual([])
})

test('FG1: in Python any error that passes is found; one that is named is a decision', () => {
  expect(found('try:\n    client.publish(m)\nexcept Exception:\n    pass\n', 'src/a.py')).toEqual(['strong 3'])
  expect(found('try:\n    client.publish(m)\nexcept KeyError:\n    pass\n', 'src/a.py')).toEqual([])
  expect(found('try:\n    client.publish(m)\nexcept Exception:\n    pass  # a hint\n', 'src/a.py')).toEqual([])
})

test('FG1: what people start by hand is for review', () => {
  expect(found('try { await f() } catch {}', 'scripts/a.ts')).toEqual(['review 1'])
})
