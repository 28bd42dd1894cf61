import type { CommandDoc } from './terminal.ts'
export const keys: CommandDoc = { usage: 'keys create|list|revoke', summary: 'API keys', run: async () => 2 }
