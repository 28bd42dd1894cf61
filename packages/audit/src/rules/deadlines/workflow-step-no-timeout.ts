// Steps and jobs that may run for ever: Celery without a time limit, and own runners that wait for whatever handler a step has.
//   DN12. A limit anywhere in the configuration of Celery, or a timeout around the handler, keeps it silent.

import type { Block, Call } from '../../facts/facts.ts'
import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { isBounded } from '../../system/bounded.ts'
import { GUARANTEES } from '../guarantees.ts'
import { enclosing, lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isByHandFile } from './surroundings.ts'

export const workflowStepNoTimeout: Rule = {
  meta: {
    id: 'workflow-step-no-timeout',
    category: 'deadlines and retries',
    severity: 'medium',
    title: 'A step of work has no limit of time',
    why: 'A step that hangs keeps its worker, its place in the workflow, and whatever it holds. Workers run out one by one; the queue grows while everything looks alive.',
    remedies: [
      {
        priority: 'P1',
        text: 'Give every step a limit (Celery: task_time_limit and task_soft_time_limit), and say what happens when it ends: retry, compensate, or fail the workflow.',
        effort: 'S',
        guarantee: GUARANTEES.within,
      },
    ],
    sources: [
      'https://docs.celeryq.dev/en/stable/userguide/workers.html#time-limits',
      'https://docs.temporal.io/encyclopedia/detecting-activity-failures#start-to-close-timeout',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    yield* celery(repository)
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file !== undefined && file.facts.imports.length > 0 && !isByHandFile(repository, file.facts))
        yield* runners(file)
    }
  },
}

const LIMIT = /time_limit|TIME_LIMIT|soft_time_limit/

function* celery(repository: Repository): Iterable<Discovery> {
  const apps: { readonly file: string; readonly call: Call }[] = []
  let tasks = 0
  for (const [file, facts] of repository.facts) {
    if (
      facts.language !== 'python' ||
      !facts.imports.some(({ module }) => /^celery\b|(^|\.)celery(_app)?$/.test(module))
    )
      continue
    if (LIMIT.test(repository.files.read(file) ?? '')) return
    tasks += facts.blocks.filter(({ fn }) =>
      fn?.decorators.some(({ callee }) => /(?:^|\.)(?:task|shared_task)$/.test(callee.text)),
    ).length
    const app = facts.calls.find(({ callee }) => callee.root === 'import:celery#Celery' && callee.text === 'Celery')
    if (app !== undefined && !isByHandFile(repository, facts)) apps.push({ file, call: app })
  }
  if (tasks === 0 || isConfiguredElsewhere(repository)) return
  for (const { file, call } of apps) {
    if (optionOf(call, 'task_time_limit') !== undefined) continue
    yield {
      tier: 'strong',
      evidence: [
        seenAt(file, call, `No time limit is set for the ${tasks} tasks of the repository; the default is none.`),
      ],
      cause: 'celery without a time limit',
      symbol: '',
      symptom:
        'A task that hangs keeps its worker process for ever; with as many as there are processes nothing is worked on.',
      rootCause: 'Neither task_time_limit nor a limit of a task is set.',
    }
  }
}

/** `CELERY_TASK_TIME_LIMIT` of Django's settings, `--time-limit` of the worker's command. */
function isConfiguredElsewhere(repository: Repository): boolean {
  for (const facts of repository.facts.values())
    if (facts.language === 'python' && facts.assignments.some(({ target }) => LIMIT.test(target.text))) return true
  return repository.configuration.compose.some(({ services }) =>
    [...services.values()].some(({ command }) => /--(?:soft-)?time-limit/.test(command?.value ?? '')),
  )
}

const STEPS = /(?:^|[._])(?:steps?|nodes?|stages?|activities|tasks_to_run|workflow_steps)$/i
const RUNNERS =
  /^_*(?:execute|run|process|perform)(?:Workflow|Saga|Pipeline|_workflow|_saga|_pipeline|Steps|_steps|Flow|_flow)\w*$|^_*execute$/

/** `for step of steps: await this.executeStep(step)`, in what is named a workflow, with no timeout in the whole file. */
function* runners(file: IndexedFile): Iterable<Discovery> {
  const { facts } = file
  for (const [index, block] of facts.blocks.entries()) {
    if (block.kind !== 'loop' || block.test?.kind !== 'path' || !STEPS.test(block.test.path.text)) continue
    const fn = facts.blocks[file.functionOf(index)]
    if (fn?.fn?.isAsync !== true || !RUNNERS.test(fn.name) || !isWorkflow(facts.file, fn, file, index)) continue
    const step = facts.calls.find((call) => isStep(file, call, index, block.binds ?? ''))
    if (step === undefined || mentionsTimeout(file)) continue
    yield {
      tier: 'review',
      evidence: [seenAt(facts.file, step, 'Waits for the step for as long as it takes.')],
      cause: `steps of ${facts.file}`,
      symbol: symbolOf(facts, index),
      symptom: 'One step that hangs leaves its workflow running for ever.',
      rootCause: 'The runner waits for each step without a limit of time.',
    }
  }
}

function isWorkflow(path: string, fn: Block, file: IndexedFile, block: number): boolean {
  return /workflow|saga|pipeline|orchestrat|flow/i.test(`${path} ${fn.name} ${symbolOf(file.facts, block)}`)
}

function isStep(file: IndexedFile, call: Call, loop: number, binds: string): boolean {
  const isDirect = enclosing(file.facts, call.block, ['loop']) === loop
  if (!isDirect || call.use !== 'awaited' || isBounded(file, call)) return false
  if (!/^_*(?:execute|run|process|perform|handle|invoke|call|handler|action|fn)/.test(lastName(call.callee)))
    return false
  return call.args.some((arg) => arg.kind === 'path' && binds.split(',').includes(arg.path.text.split('.', 1)[0] ?? ''))
}

function mentionsTimeout({ facts: { calls, assignments } }: IndexedFile): boolean {
  return (
    calls.some(
      ({ callee, named }) =>
        /timeout|deadline|AbortSignal/i.test(callee.text) || named.some(([name]) => /timeout/i.test(name)),
    ) || assignments.some(({ target }) => /timeout|deadline/i.test(target.text))
  )
}
