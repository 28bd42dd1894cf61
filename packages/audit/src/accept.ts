// Writes docs/audit-rules.md anew from the rules.

import { writeFileSync } from 'node:fs'
import { documentRules } from './reports/explain.ts'
import { RULES } from './rules/index.ts'

writeFileSync(new URL('../../../docs/audit-rules.md', import.meta.url), documentRules(RULES))
