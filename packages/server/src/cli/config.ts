// `ripstop config check`: everything that is wrong with the configuration, or what it amounts to. Starts nothing.

import { parseArgs } from 'node:util'
import { configJsonSchema, describeConfig, loadConfig } from '#platform/config'
import type { CommandDoc } from './terminal.ts'

export const config: CommandDoc = {
  usage: 'config check|schema [--config FILE]',
  summary: 'check the configuration and show what it amounts to; print its JSON Schema for editors',
  run: async (terminal) => {
    const { values, positionals } = parseArgs({
      args: [...terminal.argv],
      options: { config: { type: 'string' } },
      allowPositionals: true,
    })
    if (positionals[0] === 'schema') {
      terminal.out(`${JSON.stringify(configJsonSchema(), null, 2)}\n`)
      return 0
    }
    if (positionals[0] !== 'check') {
      terminal.error(`usage: ripstop ${config.usage}\n`)
      return 2
    }
    const loaded = loadConfig({ env: terminal.env, cwd: terminal.cwd, configPath: values.config })
    terminal.out(`${describeConfig(loaded)}\n`)
    for (const warning of loaded.warnings) terminal.error(`warning: ${warning}\n`)
    return 0
  },
}
