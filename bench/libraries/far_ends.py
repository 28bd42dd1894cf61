# Far ends for measurements, on loopback: silent, refusing, full, answering with a status, and ones that greet as a database or broker does and then say nothing.
# Each has a port of its own and counts who came. They live as long as the process.

import socket
import struct
import threading


class FarEnd:
    """Accepts, and answers what `answer` gives for what it hears; None: nothing."""

    def __init__(self, answer=None, greeting=b''):
        self.connections = 0
        self.answer = answer
        self.greeting = greeting
        self._kept = []
        self._socket = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f'http://127.0.0.1:{self.port}/'

    def _accept(self):
        while True:
            peer, _ = self._socket.accept()
            self.connections += 1
            self._kept.append(peer)
            threading.Thread(target=self._talk, args=(peer,), daemon=True).start()

    def _talk(self, peer):
        try:
            if self.greeting:
                peer.sendall(self.greeting)
            while heard := peer.recv(65536):
                said = self.answer(heard) if self.answer else None
                if said:
                    peer.sendall(said)
        except OSError:
            pass  # A client that gave up resets its connection.


def silent():
    return FarEnd()


def status(code):
    return FarEnd(lambda _: b'HTTP/1.1 %d No\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}' % code)


_FULL = []


def full():
    """Port whose queue of connections is full: the kernel drops who comes, as a host that is gone would."""
    listening = socket.socket()
    listening.bind(('127.0.0.1', 0))
    listening.listen(0)
    _FULL.append(listening)
    for _ in range(3):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(listening.getsockname())
        _FULL.append(waiting)
    return listening.getsockname()[1]


def _parameter(name, value):
    text = name.encode() + b'\0' + value.encode() + b'\0'
    return b'S' + struct.pack('>I', len(text) + 4) + text


def postgres():
    """Authentication is done, ready for a query, and then nothing."""
    told = {'client_encoding': 'UTF8', 'server_encoding': 'UTF8', 'server_version': '16.0', 'DateStyle': 'ISO, MDY',
            'standard_conforming_strings': 'on', 'integer_datetimes': 'on', 'TimeZone': 'UTC'}
    ready = (b'R' + struct.pack('>II', 8, 0) + b''.join(_parameter(*each) for each in told.items())
             + b'K' + struct.pack('>III', 12, 1, 1) + b'Z' + struct.pack('>I', 5) + b'I')

    def answer(heard):
        if len(heard) == 8 and heard[4:] == struct.pack('>I', 80877103):
            return b'N'
        return ready if heard[:1] == b'\0' else None

    return FarEnd(answer)


def mysql():
    """Lets anybody in and takes settings; a SELECT is not answered."""
    def packet(number, body):
        return struct.pack('<I', len(body))[:3] + bytes([number]) + body

    greeting = packet(0, b'\x0a8.0.0\0' + struct.pack('<I', 1) + b'12345678\0' + struct.pack('<H', 0xF7FF)
                      + b'\x21' + struct.pack('<H', 2) + struct.pack('<H', 0x0008) + b'\x15' + b'\0' * 10
                      + b'123456789012\0' + b'mysql_native_password\0')

    def fine(number):
        return packet(number, b'\0\0\0\x02\0\0\0')

    def answer(heard):
        if heard[3] != 0:
            return fine(heard[3] + 1)
        return None if b'SELECT' in heard.upper() else fine(1)

    return FarEnd(answer, greeting)


def mongo():
    """Says what it is whenever it is asked; anything else is not answered."""
    import bson

    hello = {'ismaster': True, 'isWritablePrimary': True, 'helloOk': True, 'ok': 1.0, 'maxWireVersion': 17,
             'minWireVersion': 0, 'maxBsonObjectSize': 16777216, 'maxMessageSizeBytes': 48000000,
             'maxWriteBatchSize': 100000, 'logicalSessionTimeoutMinutes': 30, 'readOnly': False}
    body = bson.encode(hello) if hasattr(bson, 'encode') else bson.BSON.encode(hello)

    def answer(heard):
        if b'ismaster' not in heard.lower() and b'hello' not in heard:
            return None
        asked, code = struct.unpack('<i', heard[4:8])[0], struct.unpack('<i', heard[12:16])[0]
        said = struct.pack('<iqii', 8, 0, 0, 1) + body if code == 2004 else struct.pack('<I', 0) + b'\0' + body
        return struct.pack('<iiii', 16 + len(said), 1, asked, 1 if code == 2004 else 2013) + said

    return FarEnd(answer)


def amqp():
    """Opens connections and channels, says that it is alive, and answers no other question."""
    from pika import frame, spec

    def method(number, made):
        return frame.Method(number, made).marshal()

    def answer(heard):
        if heard[:4] == b'AMQP':
            return method(0, spec.Connection.Start(server_properties={'capabilities': {'publisher_confirms': True, 'basic.nack': True}}))
        said = b''
        while len(heard) >= 11:
            kind, channel, size = struct.unpack('>BHI', heard[:7])
            asked = struct.unpack('>HH', heard[7:11]) if kind == 1 else None
            heard = heard[size + 8:]
            if asked == (10, 11):
                said += method(0, spec.Connection.Tune(channel_max=100, frame_max=131072, heartbeat=0))
            elif asked == (10, 40):
                said += method(0, spec.Connection.OpenOk())
            elif asked == (20, 10):
                said += method(channel, spec.Channel.OpenOk())
            elif asked == (85, 10):
                said += method(channel, spec.Confirm.SelectOk())
        return said

    return FarEnd(answer)
