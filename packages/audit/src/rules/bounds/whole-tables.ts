// Whole tables in Python beside the queries of SQLAlchemy: statements that are written out, and what a manager of Django hands out.
//   QR7. Found only where all of it is fetched: `fetchall` behind the statement, a `list(…)` or a serializer of many around the manager's rows.

import type { Call, FileFacts } from '../../facts/facts.ts'
import { lastName } from '../queries.ts'

const SELECT_ALL = /^\s*select\s+(?:\*|[\w.,\s"`]+)\s+from\s+["`\w.]+\s*(?:order\s+by\s+[\w.,\s"`]+)?;?\s*$/i

export function readsWhole(facts: FileFacts, call: Call): boolean {
  return readsRaw(facts, call) || readsManager(facts, call)
}

/** `db.execute(text('SELECT … FROM orders'))`. */
function readsRaw({ calls }: FileFacts, call: Call): boolean {
  const { callee, args, target } = call
  if (!/\.(?:execute|fetch_?all|fetch)$/.test(callee.text)) return false
  const [first] = args
  const wrapped = first?.kind === 'call' ? calls[first.call] : undefined
  const statement = wrapped !== undefined && /(?:^|\.)text$/.test(wrapped.callee.text) ? wrapped.args[0] : first
  if (statement?.kind !== 'string' || !SELECT_ALL.test(statement.value)) return false
  if (!callee.text.endsWith('execute')) return true
  const at = calls.indexOf(call)
  const owner = target?.text ?? callee.text.slice(0, callee.text.lastIndexOf('.'))
  return calls.some(
    (next) =>
      next.line >= call.line &&
      next.line <= call.endLine + LINES_MAX &&
      /^(?:fetchall|all|mappings|scalars)$/.test(lastName(next.callee)) &&
      (next.on === at || next.callee.text.startsWith(`${owner}.`)),
  )
}

const LINES_MAX = 10

/** `list(Order.objects.values())`, `OrderSerializer(Order.objects.all(), many=True)`. */
function readsManager({ calls }: FileFacts, call: Call): boolean {
  if (!/(?:^|\.)[A-Z]\w*\.objects\.(?:all|values|values_list)$/.test(call.callee.text)) return false
  const at = calls.indexOf(call)
  return calls.some(
    ({ callee, args, named }) =>
      args.some((arg) => arg.kind === 'call' && arg.call === at) &&
      (callee.text === 'list' ||
        (/Serializer$/.test(callee.text) &&
          named.some(([name, value]) => name === 'many' && value.kind === 'boolean' && value.value))),
  )
}
