import fc from 'fast-check'
import { compareSchemas, findUnguaranteed } from './compatibility.ts'
import { compileSchema } from './schema-check.ts'
import { dataOf, evolvedSchemas, withoutUnknown } from './schemas.fixture.ts'
let a = 0, b = 0
fc.assert(fc.property(evolvedSchemas, fc.integer(), ({ before, after }, seed) => {
  const p = compareSchemas(before, after).some(({ breaks }) => breaks.includes('publishers'))
  const c = findUnguaranteed(before, after).length > 0
  if (p && c) return true
  const [old, now] = [compileSchema(before), compileSchema(after)]
  for (let s = 0; s < 12; s++) {
    if (!p) { a++; const data = dataOf(before, seed + s); if (old(data) === undefined && now(data) !== undefined) throw new Error('P ' + JSON.stringify({ before, after, data })) }
    if (!c) { b++; const data = dataOf(after, seed + s); if (now(data) === undefined && old(data) !== undefined && old(withoutUnknown(before, data)) !== undefined) throw new Error('C ' + JSON.stringify({ before, after, data })) }
  }
  return true
}), { numRuns: 12000 })
console.log('ok', a, b)
