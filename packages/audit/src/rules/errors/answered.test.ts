// Texts of errors that reach a client at 200, over a socket, or through the function above.

import { describe, expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { errorLeak } from './error-leak.ts'

const route = (answer: string, caught = 'Exception', path = '/orders'): string =>
  `from fastapi import FastAPI\nfrom fastapi.responses import JSONResponse\napp = FastAPI()\n@app.get("${path}")\nasync def orders():\n    try:\n        return await find()\n    except ${caught} as e:\n        ${answer}\n`

describe('answered at 200', () => {
  test.each([
    [route('return {"ok": False, "error": str(e)}'), ['strong 9']],
    [route('return Answer(ok=False, message=f"failed: {e}")'), ['strong 9']],
    [route('return JSONResponse({"error": str(e)})'), ['strong 9']],
    [route('return {"ok": False, "error": "failed"}'), []],
    [route('return JSONResponse({"error": str(e)}, status_code=404)'), []],
    [route('return bad_request(str(e))'), []],
    [route('return {"error": str(e)}, 400'), []],
    [route('return {"error": str(e)}', 'QuotaError'), []],
    [route('return {"error": str(e)}', 'Exception', '/health'), []],
    [route('return {"error": str(e)}', 'Exception', '/keys/test'), []],
    [route('return {"error": str(e)}').replace('@app.get("/orders")\n', ''), []],
  ])('QU3: %j: %j', (source, expected) => {
    expect(foundIn(errorLeak, { 'src/a.py': source })).toEqual(expected)
  })

  const handed = (answer: string): string =>
    `from flask import Flask, jsonify\napp = Flask(__name__)\ndef keep(file):\n    try:\n        put(file)\n    except Exception as e:\n        return 500, str(e)\n    return file\n@app.route("/keep")\ndef take():\n    ${answer}\n`
  test.each([
    ['return keep(request.files["a"])', ['strong 7']],
    ['kept = keep(request.files["a"])\n    return jsonify(kept, "done")', ['strong 7']],
    ['kept = keep(request.files["a"])\n    return jsonify("done")', []],
    ['log(keep(request.files["a"]))', []],
  ])('QU3: what is handed up, and %j: %j', (answer, expected) => {
    expect(foundIn(errorLeak, { 'src/a.py': handed(answer) })).toEqual(expected)
  })

  test.each([
    ['status_code=status.HTTP_502_BAD_GATEWAY', ['strong 9']],
    ['status_code=HTTPStatus.SERVICE_UNAVAILABLE', ['strong 9']],
    ['status_code=status.HTTP_404_NOT_FOUND', []],
  ])('ER3: a status by its name, %s: %j', (code, expected) => {
    expect(foundIn(errorLeak, { 'src/a.py': route(`raise HTTPException(${code}, detail=str(e))`) })).toEqual(expected)
  })
})

describe('told over a socket', () => {
  const caught = (told: string): string =>
    `from asgiref.sync import async_to_sync\nasync def take(websocket):\n    try:\n        await work()\n    except Exception as e:\n        ${told}\n`
  const layer = (name: string): string =>
    `def ${name}(text, user):\n    push_event("error", text, user)\ndef push_event(kind, text, user):\n    async_to_sync(layer.group_send)(user, {"kind": kind, "text": text})\n`
  test.each([
    [caught('await websocket.send_json({"kind": "error", "text": str(e)})'), ['strong 6']],
    [caught('await websocket.send_text(json.dumps({"text": f"failed: {e}"}))'), ['strong 6']],
    [caught('await sio.emit("error", {"text": str(e)}, to=sid)'), ['strong 6']],
    [caught('yield f"data: {json.dumps({\'error\': str(e)})}\\n\\n"'), ['strong 6']],
    [`${layer('send_message')}${caught('send_message(str(e), user)')}`, ['strong 10']],
    [`${layer('write_down')}${caught('write_down(str(e), user)')}`, []],
    [caught('await websocket.send_json({"kind": "error"})'), []],
    [caught('await mail.send("error", str(e))'), []],
    [caught('yield str(e)'), []],
  ])('QU4: %j: %j', (source, expected) => {
    expect(foundIn(errorLeak, { 'src/a.py': source })).toEqual(expected)
  })
})
