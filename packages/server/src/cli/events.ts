// `ripstop events`: publishing, types of events and their contracts, and what was rejected.

import { publishVerbs } from './events-publish.ts'
import { rejectedVerbs } from './events-rejected.ts'
import { typeVerbs } from './events-types.ts'
import { createGroup } from './verbs.ts'

export const events = createGroup('events', 'publish events, their types and contracts, what was rejected', [
  ...publishVerbs,
  ...typeVerbs,
  ...rejectedVerbs,
])
