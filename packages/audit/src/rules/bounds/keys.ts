// How many keys of a kind there are, by what they are called: few (languages, methods, states), or one more whenever somebody new begins to use the system, or a file is added to it.
//   BD14. The last word of a key's name decides, without `id`, `key` and how it is written; a key of several parts is as many as its most.

import type { Value } from '../../facts/facts.ts'

const FEW = new Set(
  `lang language locale region country provider model type kind level status state method env environment theme currency format version engine dialect tier plan
  mode category schema table collection service component topic event metric operation op action module plugin driver backend route endpoint class cls role field
  column code severity priority strategy shard index idx slot bucket partition chain network prefix software exchange interval weekday hour attempt step phase`.split(
    /\s+/,
  ),
)
const SLOW = new Set(
  'project tenant org organization organisation workspace team account installation shop store bot page symbol pair pattern keyword host hostname domain file filename path asset template icon'.split(
    ' ',
  ),
)
/** Names of these are as many as they are; others (of models, events, tools) are few. */
const NAMED = /^(?:user|host|display|first|last|full|client|customer|nick|domain|account|group|room)$/

export type Amount = 'few' | 'slow' | 'many'

export function amountOf(key: Value): Amount {
  const parts = partsOf(key).map(ofName)
  if (parts.length === 0 || parts.includes('many')) return 'many'
  return parts.includes('slow') ? 'slow' : 'few'
}

function partsOf(key: Value): readonly string[] {
  switch (key.kind) {
    case 'path':
      return [key.path.text]
    case 'template':
      return key.values.flatMap(partsOf)
    case 'other':
      return [/([A-Za-z_][\w.]*)\W*$/.exec(key.text)?.[1] ?? key.text]
    default:
      return ['']
  }
}

function ofName(name: string): Amount {
  const words = name
    .replace(/([a-z\d])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word !== '')
  while (words.length > 1 && /^(?:id|ids|uuid|key|str|value|upper|lower|normali[sz]ed)$/.test(words.at(-1) ?? ''))
    words.pop()
  const last = words.at(-1) ?? ''
  const word = last.length > 3 && last.endsWith('s') && !FEW.has(last) ? last.slice(0, -1) : last
  if (word === 'name') return words.at(-2) === 'file' ? 'slow' : NAMED.test(words.at(-2) ?? '') ? 'many' : 'few'
  if (FEW.has(word)) return 'few'
  return SLOW.has(word) ? 'slow' : 'many'
}
