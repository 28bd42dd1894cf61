// Writes of documents by the classes that stand for them, as Mongoose and what is like it has them.
//   QJ27. Found for what a class writes itself, and for `save` of what was made by a class or read with one.

import type { Call, FileFacts } from '../../facts/facts.ts'
import type { FoundCall, Program } from '../../program/index.ts'
import { isInside } from '../queries.ts'

const WRITES = /^[A-Z]\w*\.(?:create|insertMany|updateOne|updateMany|findByIdAndUpdate|findOneAndUpdate|replaceOne)$/
const READS = /^[A-Z]\w*\.(?:findOne|findById|findByPk|findOneAndUpdate|findByIdAndUpdate|create)$/
/** What is no document. */
const OTHER = /^(?:Object|Array|Promise|Map|Set|Stripe|Axios|Buffer|Document|Logger)\b/
const MODELS = [
  'create',
  'insertMany',
  'updateOne',
  'updateMany',
  'findByIdAndUpdate',
  'findOneAndUpdate',
  'replaceOne',
]

/** QJ27. Only those that are waited for. */
export function documentWrites(program: Program): readonly FoundCall[] {
  return program.calls(['save', ...MODELS]).filter(({ file: path, call }) => {
    const facts = program.file(path)?.facts
    if (facts === undefined || facts.language === 'python' || call.use !== 'awaited') return false
    const { text } = call.callee
    return (WRITES.test(text) && !OTHER.test(text)) || (text.endsWith('.save') && isDocument(facts, call))
  })
}

function isDocument(facts: FileFacts, { callee, block, line }: Call): boolean {
  const name = callee.text.slice(0, -'.save'.length)
  if (name.includes('.') || callee.isOwn) return false
  const given = facts.assignments.findLast(
    (each) =>
      each.target.text === name && !each.target.isOwn && each.line <= line && isInside(facts.blocks, block, each.block),
  )
  const value = given?.value.kind === 'await' ? given.value.value : given?.value
  const made = value?.kind === 'call' ? facts.calls[value.call] : undefined
  if (made === undefined || OTHER.test(made.callee.text)) return false
  return made.isNew ? /^[A-Z]\w*$/.test(made.callee.text) && made.args.length === 1 : READS.test(made.callee.text)
}
