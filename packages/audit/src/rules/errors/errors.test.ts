import { describe, expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { errorLeak } from './error-leak.ts'
import { fakeSuccess } from './fake-success.ts'
import { fatalStartSwallowed } from './fatal-start-swallowed.ts'
import { guardCannotFire } from './guard-cannot-fire.ts'
import { catchScopeTooBroad, rollbackMasksError } from './masked.ts'
import { missingMethod } from './missing-method.ts'
import { typeMismatch } from './type-mismatch.ts'
import { alertNotImplemented, broadcastAbort } from './unfinished.ts'

describe('texts of errors in answers', () => {
  const ts = (answer: string): string =>
    `function take(req, res) {\n  try { work() } catch (error) {\n    ${answer}\n  }\n}`
  const py = (answer: string, kind = 'Exception'): string =>
    `def take():\n    try:\n        work()\n    except ${kind} as e:\n        ${answer}\n`
  test.each([
    ['src/a.ts', ts('res.status(500).json({ error: error.message })'), 'strong 3'],
    ['src/a.ts', ts('res.status(400).send(error.stack)'), 'strong 3'],
    ['src/a.ts', 'function last(err, req, res, next) {\n  res.status(500).send(String(err))\n}', 'strong 2'],
    ['src/a.py', py('raise HTTPException(status_code=500, detail=f"failed: {e}")'), 'strong 5'],
    ['src/a.py', py('return JSONResponse(status_code=503, content={"detail": str(e)})'), 'strong 5'],
    ['src/a.py', py('return Response(traceback.format_exc(), status=400)'), 'strong 5'],
    [
      'src/a.py',
      '@app.exception_handler(Exception)\nasync def last(request, exc):\n    return JSONResponse(status_code=500, content=str(exc))\n',
      'strong 3',
    ],
  ])('ER3: in %s %j has %s', (file, source, expected) => {
    expect(foundIn(errorLeak, { [file]: source })).toEqual([expected])
  })

  test.each([
    [py('await context.abort(grpc.StatusCode.INTERNAL, f"failed: {e}")'), ['strong 5']],
    [py('context.set_code(grpc.StatusCode.INTERNAL)\n        context.set_details(str(e))'), ['strong 6']],
    [py('context.set_code(grpc.StatusCode.NOT_FOUND)\n        context.set_details(str(e))'), []],
    [py('await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(e))'), []],
    [py('return JsonResponse(shape(code=500, details=str(e)), status=500)'), ['strong 5']],
    [py('return JsonResponse(shape(e), status=500)'), []],
  ])('QL9, QL10: %j: %j', (source, expected) => {
    expect(foundIn(errorLeak, { 'src/a.py': source })).toEqual(expected)
  })

  test.each([
    [py('raise HTTPException(500, str(e))', 'OperationalError'), ['strong 5']],
    [py('raise HTTPException(502, str(e))', '(requests.RequestException, redis.RedisError)'), ['strong 5']],
    [py('raise HTTPException(502, str(e))', '(requests.RequestException, QuotaError)'), []],
    [py('raise HTTPException(502, str(e))', '(QuotaError, redis.RedisError)'), []],
    [py('raise HTTPException(404, str(e))', 'OperationalError'), []],
    [py('return jsonify({"error": str(e)}), 500'), ['strong 5']],
    [py('return {"error": f"failed: {e}"}, 500'), ['strong 5']],
    [py('return jsonify({"error": str(e)}), 409'), []],
    [py('return {"error": "failed"}, 500'), []],
    [py('return make_response(jsonify(error=str(e)), 503)'), ['strong 5']],
    [py('return web.json_response({"error": str(e)}, status=500)'), ['strong 5']],
    [py('raise web.HTTPInternalServerError(text=str(e))'), ['strong 5']],
  ])('QL14, QL16: %j: %j', (source, expected) => {
    expect(foundIn(errorLeak, { 'src/a.py': source })).toEqual(expected)
  })

  test.each([
    ['if config.env == "production":', []],
    ['if config.env == "batch":', ['strong 8']],
  ])('QL15: what runs where it is no production, after %s: %j', (test, expected) => {
    const chosen = `${test}\n            tell()\n        else:\n            raise HTTPException(500, str(e))`
    expect(foundIn(errorLeak, { 'src/a.py': py(chosen) })).toEqual(expected)
    const not = 'if config.env != "production":\n            raise HTTPException(500, str(e))'
    expect(foundIn(errorLeak, { 'src/a.py': py(not) })).toEqual([])
  })

  test('QL10: what a framework hands every error to is found where it does not ask for its kind', () => {
    const last = (test: string): string =>
      `def on_error(exc, context):\n    if ${test}:\n        return JsonResponse({"e": str(exc)}, status=500)\n`
    expect(foundIn(errorLeak, { 'src/a.py': last('context') })).toEqual(['strong 3'])
    expect(foundIn(errorLeak, { 'src/a.py': last('isinstance(exc, Broken)') })).toEqual([])
    expect(foundIn(errorLeak, { 'src/a.py': last('isinstance(exc, (Broken, db.OperationalError))') })).toEqual([
      'strong 3',
    ])
  })

  test.each([
    ['src/a.ts', ts('res.status(400).json({ error: error.message })')],
    ['src/a.ts', ts("res.status(500).json({ error: 'failed' })")],
    ['src/a.ts', ts('res.status(500).json({ error })')],
    ['src/a.ts', ts("if (process.env.NODE_ENV === 'development') res.status(500).json({ error: error.message })")],
    ['src/a.ts', ts("res.status(500).json({ error: isDev ? error.message : 'failed' })")],
    ['src/a.py', py('raise HTTPException(status_code=500, detail=str(e))', 'QuotaError')],
    ['src/a.py', py('raise HTTPException(status_code=404, detail=str(e))')],
    ['src/a.py', py('log.error(str(e))')],
  ])('ER3: in %s %j is silent', (file, source) => {
    expect(foundIn(errorLeak, { [file]: source })).toEqual([])
  })
})

describe('work that is said to be done', () => {
  const stub = (body: string): string => `async function charge(order) {\n  ${body}\n}`
  test.each([
    ["// TODO: call the gateway\n  return { id: order.id, status: 'completed' }", ['strong 3']],
    ["log.info(order)\n  // a real one would call the gateway\n  order.status = 'completed'", ['strong 4']],
    ["// TODO: faster\n  await gateway.charge(order)\n  return { status: 'completed' }", []],
    ["return { status: 'completed' }", []],
    ["// TODO: call the gateway\n  return { status: 'pending' }", []],
    ['// TODO: call the gateway\n  throw new Error("not there")', []],
  ])('ER4: %j has %j', (body, expected) => {
    expect(foundIn(fakeSuccess, { 'src/a.ts': stub(body) })).toEqual(expected)
  })

  test.each([
    ['send_push', '# TODO: call the provider\n    log.info(text)\n    return True', ['strong 4']],
    ['send_push', '# TODO: retry\n    provider.deliver(text)\n    return True', []],
    ['is_allowed', '# TODO: ask the list\n    return True', []],
    ['send_push', '# TODO: call the provider\n    if not text:\n        return False\n    return True', []],
    ['send_push', 'log.info(text)\n    return True', []],
  ])('QL11: %s %j has %j', (name, body, expected) => {
    expect(foundIn(fakeSuccess, { 'src/a.py': `def ${name}(text):\n    ${body}\n` })).toEqual(expected)
  })

  const job = (body: string, decorator = ''): string => `${decorator}def clean_up(days):\n    ${body}\n`
  const told = 'bus = EventBus()\n    bus.publish(kind="cleaned", before=now - timedelta(days=days))'
  test.each([
    [job(`# TODO: Implement the cleaning\n    ${told}\n    return {"status": "success"}`), ['strong 5']],
    [job(`# TODO: clean faster\n    ${told}\n    return {"status": "success"}`), []],
    [job('# TODO: Implement paging\n    rows.delete(days)\n    return {"status": "success"}'), []],
    [job('log.info(days)\n    # Implementation here', '@app.task\n'), ['strong 2']],
    [job('log.info(days)\n    # Implementation here'), []],
    [job('rows.delete(days)\n    # Implementation here', '@app.task\n'), []],
  ])('QU7: %j has %j', (source, expected) => {
    expect(foundIn(fakeSuccess, { 'src/a.py': source })).toEqual(expected)
  })

  test('ER4: a step that is unwritten in a loop that does nothing else is found', () => {
    const run = (step: string): string =>
      `def run(db, flow):\n    db.add(flow)\n    for step in flow.steps:\n        # here you would execute the step\n        ${step}\n        done.append(result)\n`
    expect(foundIn(fakeSuccess, { 'src/a.py': run('result = {"status": "completed"}') })).toEqual(['strong 5'])
    expect(foundIn(fakeSuccess, { 'src/a.py': run('result = {"status": "completed", "of": step.execute()}') })).toEqual(
      [],
    )
  })

  test('ER5: a run is found that is marked as done whatever became of its steps', () => {
    const run = (handler: string, after: string): string =>
      `async def run(self, flow):\n    for step in flow.steps:\n        try:\n            await self.execute(step)\n        except Exception as error:\n            ${handler}\n    ${after}\n`
    expect(foundIn(fakeSuccess, { 'src/a.py': run('log.error(error)', 'flow.status = "completed"') })).toEqual([
      'strong 7',
    ])
    expect(foundIn(fakeSuccess, { 'src/a.py': run('failed = True', 'flow.status = "completed"') })).toEqual([])
    expect(foundIn(fakeSuccess, { 'src/a.py': run('return', 'flow.status = "completed"') })).toEqual([])
    expect(foundIn(fakeSuccess, { 'src/a.py': run('log.error(error)', 'flow.status = outcome') })).toEqual([])
  })
})

describe('guards', () => {
  const guard = (name: string, handler: string, before = ''): string =>
    `def ${name}():\n    try:\n        if version() != wanted:\n            raise ValueError("old")\n${before}    except Exception as error:\n        ${handler}\n`
  test.each([
    [guard('check_schema', 'log.warning(error)'), ['strong 5']],
    [guard('check_schema', 'raise'), []],
    [guard('check_schema', 'self.failed = True'), []],
    [guard('check_schema', 'return False'), []],
    [guard('load_schema', 'log.warning(error)'), []],
    [guard('check_schema', 'log.warning(error)', '    except ValueError:\n        raise\n'), []],
    [guard('check_schema', 'log.warning(error)').replace('if version() != wanted', 'with lock'), []],
    [`${guard('check_schema', 'log.warning(error)')}    return problems\n`, []],
  ])('ER6: %j has %j', (source, expected) => {
    expect(foundIn(guardCannotFire, { 'src/a.py': source })).toEqual(expected)
  })

  test.each([
    ['HTTPException', 'pass', ['strong 8']],
    ['HTTPException', 'return await refuse(send)', []],
    ['KeyError', 'pass', []],
  ])('QL12: a guard that is called, with except %s: %s', (kind, handler, expected) => {
    const source = `def verify_token(t):\n    if not t:\n        raise HTTPException(401)\nclass Door:\n    async def __call__(self, scope, send):\n        try:\n            verify_token(scope)\n        except ${kind}:\n            ${handler}\n        await self.app(scope, send)\n`
    expect(foundIn(guardCannotFire, { 'src/a.py': source })).toEqual(expected)
    const last = source.replace('        await self.app(scope, send)\n', '')
    expect(foundIn(guardCannotFire, { 'src/a.py': last })).toEqual([])
  })
})

describe('starts', () => {
  const start = (handler: string, call = 'start()'): string =>
    `import mongoose from 'mongoose'\nasync function start() {\n  try {\n    await mongoose.connect(url)\n  } catch (error) {\n    ${handler}\n  }\n}\n${call}`
  test.each([
    [start('console.error(error)'), ['strong 5']],
    [
      "import mongoose from 'mongoose'\nmongoose.connect(url).then(() => log('up')).catch((error) => console.error(error))",
      ['strong 2'],
    ],
    [start('console.error(error)\n    process.exit(1)'), []],
    [start('throw error'), []],
    [start('// optional: the app works without it\n    console.error(error)'), []],
    [start('console.error(error)', 'app.get("/x", () => start())'), []],
    [start('console.error(error)').replace('mongoose.connect', 'cache.warm'), []],
  ])('ER7: %j has %j', (source, expected) => {
    expect(foundIn(fatalStartSwallowed, { 'src/a.ts': source })).toEqual(expected)
  })

  const once =
    "import mongoose from 'mongoose'\nmongoose.connect(url).then(fill).catch((error) => console.error(error))"
  test.each([
    [`${once}.finally(() => mongoose.disconnect())`, []],
    [`${once}.finally(mongoose.disconnect)`, []],
    [`${once}.finally(() => process.exit())`, []],
    [`${once}.finally(() => console.log('done'))`, ['strong 2']],
    [start('console.error(error)\n  } finally {\n    await mongoose.disconnect()'), []],
    [start('console.error(error)\n  } finally {\n    console.log("done")'), ['strong 5']],
    [start('console.error(error)', 'start().finally(() => mongoose.disconnect())'), []],
  ])('QM11: a script that ends: %j has %j', (source, expected) => {
    expect(foundIn(fatalStartSwallowed, { 'src/a.ts': source })).toEqual(expected)
  })
})

describe('handlers that make it worse', () => {
  const transaction = (handler: string): string =>
    `async function keep(client) {\n  try {\n    await client.query('BEGIN')\n  } catch (error) {\n    ${handler}\n  }\n}`
  test.each([
    ["await client.query('ROLLBACK')\n    throw error", ['strong 5']],
    ["await client.query('ROLLBACK').catch(log)\n    throw error", []],
    ["try { await client.query('ROLLBACK') } catch (failed) { log(failed) }\n    throw error", []],
    ["await client.query('ROLLBACK')", []],
    ["await client.query('SELECT 1')\n    throw error", []],
  ])('ER8: %j has %j', (handler, expected) => {
    expect(foundIn(rollbackMasksError, { 'src/a.ts': transaction(handler) })).toEqual(expected)
  })

  test('ER9: a handler that takes what comes after the work for the work is found', () => {
    const step = (tried: string, handler: string): Readonly<Record<string, string>> => ({
      'src/a.py': `import httpx\n\nclass Saga:\n    def __init__(self):\n        self.http = httpx.AsyncClient()\n\n    async def step(self, url):\n        try:\n            answer = await self.http.post(url)\n            ${tried}\n        except Exception as error:\n            ${handler}\n`,
    })
    expect(foundIn(catchScopeTooBroad, step('await self.on_success(answer)', 'await self.on_failure(error)'))).toEqual([
      'strong 11',
    ])
    expect(foundIn(catchScopeTooBroad, step('return answer', 'await self.on_failure(error)'))).toEqual([])
    expect(foundIn(catchScopeTooBroad, step('await self.on_success(answer)', 'raise'))).toEqual([])
  })
})

test.each([
  [
    "await stock.updateOne({ id }, { $inc: { left: -1 } })\n    await log.insertOne({ type: 'SeatReserved', id })",
    ['strong 5'],
  ],
  ['await breaker.fire(order)\n    await this.onSuccess(order)', ['strong 5']],
  // Nothing was done yet; nothing waits for the record; the record has a handler of its own.
  ["await stock.findOne({ id })\n    await log.insertOne({ type: 'SeatReserved', id })", []],
  ["await stock.updateOne({ id }, { $inc: { left: -1 } })\n    bus.publish('seat.reserved', id)", []],
  [
    "await stock.updateOne({ id }, { $inc: { left: -1 } })\n    try { await log.insertOne({ type: 'SeatReserved', id }) } catch (late) { note(late) }",
    [],
  ],
])('QV10: a handler that sends the event of a failure, behind %j: %j', (tried, expected) => {
  const source = (handler: string): string =>
    `async function take(id, order) {\n  try {\n    ${tried}\n  } catch (error) {\n    ${handler}\n  }\n}`
  const found = (handler: string): readonly string[] => foundIn(catchScopeTooBroad, { 'src/a.js': source(handler) })
  expect(found("bus.publish('seat.reservation_failed', id)")).toEqual(expected)
  expect(found('console.error(error)')).toEqual([])
})

describe('half done', () => {
  const alarm = (name: string, body: string): string => `def ${name}(job):\n${body}`
  test.each([
    [alarm('alert_on_failure', '    # TODO: send to the pager\n    log.error(job)\n'), ['strong 2']],
    [alarm('alert_on_failure', '    log.error(job)\n'), []],
    [alarm('alert_on_failure', '    # TODO: send to the pager as well\n    slack.post(job)\n'), []],
    [alarm('total_of', '    # TODO: send to the pager\n    log.error(job)\n'), []],
  ])('ER10: %j has %j', (source, expected) => {
    expect(foundIn(alertNotImplemented, { 'src/a.py': source })).toEqual(expected)
  })

  const broadcast = (body: string): string => `async def tell(self, message):\n    for client in self.clients:\n${body}`
  test.each([
    [broadcast('        await client.send_text(message)\n'), ['strong 2']],
    [
      broadcast(
        '        try:\n            await client.send_text(message)\n        except Exception:\n            self.drop(client)\n',
      ),
      [],
    ],
    [broadcast('        await self.bus.send(message)\n'), []],
    ['async def tell(self, message):\n    for part in self.parts:\n        await part.send(message)\n', []],
  ])('ER11: %j has %j', (source, expected) => {
    expect(foundIn(broadcastAbort, { 'src/a.py': source })).toEqual(expected)
  })
})

describe('what is not there', () => {
  const store = (more = '', base = ''): string =>
    `class Store${base}:\n    def get(self, key):\n        return key\n${more}`
  const use = (call: string): Readonly<Record<string, string>> => ({
    'src/store.py': `${store()}\nstore = Store()\n`,
    'src/use.py': `from store import store\n\nclass Queue:\n    def __init__(self):\n        self.store = store\n\n    def take(self):\n        return ${call}\n`,
  })
  test('ER12: a method that no class of the object has is found, also through a field', () => {
    expect(foundIn(missingMethod, use('self.store.pop("x")'))).toEqual(['strong src/use.py:8'])
    expect(foundIn(missingMethod, use('self.store.get("x")'))).toEqual([])
    expect(
      foundIn(missingMethod, { 'src/a.js': 'class Store { get() {} }\nconst store = new Store()\nstore.pop()' }),
    ).toEqual(['strong 3'])
  })

  test.each([
    store('\nstore = Store()\nstore.pop()\n', '(Base)'),
    store('    def __getattr__(self, name):\n        return None\n\nstore = Store()\nstore.pop()\n'),
    store('    def __enter__(self):\n        return connection\n\nwith Store() as store:\n    store.pop()\n'),
    store('\nsetattr(Store, "pop", pop)\nstore = Store()\nstore.pop()\n'),
    store('\nstore = Store()\nif hasattr(store, "pop"):\n    store.pop()\n'),
    store('\nstore = Store()\nstore = other()\nstore.pop()\n'),
    `${store('    def pop(self):\n        pass\n')}\n${store()}\nstore = Store()\nstore.pop()\n`,
    `class Base:\n    def pop(self):\n        pass\n\n${store('\nstore = Store()\nstore.pop()\n', '(Base)')}`,
  ])('ER12: %j is silent', (source) => {
    expect(foundIn(missingMethod, { 'src/a.py': source })).toEqual([])
  })

  test('ER13: text that is decoded again is found', () => {
    const bus = (decodes: string, read = 'v.decode()'): Readonly<Record<string, string>> => ({
      'src/client.py': `import redis\n\ndef make():\n    return redis.Redis(host="x"${decodes})\n`,
      'src/bus.py': `class Bus:\n    async def take(self):\n        answers = await self.redis.xreadgroup("g", "c", {"t": ">"})\n        for stream, items in answers:\n            for key, fields in items:\n                event = {k: ${read} for k, v in fields.items()}\n`,
    })
    expect(foundIn(typeMismatch, bus(', decode_responses=True'))).toEqual(['strong src/bus.py:6'])
    expect(foundIn(typeMismatch, bus(''))).toEqual([])
    expect(foundIn(typeMismatch, bus(', decode_responses=True', 'v'))).toEqual([])
    expect(
      foundIn(typeMismatch, bus(', decode_responses=True', '(v.decode() if isinstance(v, bytes) else v)')),
    ).toEqual([])
  })
})
