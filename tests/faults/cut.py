"""A TCP proxy whose connections can be cut in the ways that networks cut them."""
import asyncio
import threading

UP, DOWN = "up", "down"  # towards the service, towards the validator
CHUNK = 1 << 16


class Cut:
    """Stands between validators and the service. Modes, for each direction:

    pass   bytes go on
    hold   bytes wait, and go on after the heal: a stalled link; what was said long ago arrives late
    drop   bytes vanish, on every connection that is open or opened meanwhile, and for ever on those:
           a forgotten NAT entry. Neither end is told; each must find out by itself
    """

    def __init__(self, target):
        host, port = target.rsplit(":", 1)
        self.target = (host, int(port))
        self.modes = {UP: "pass", DOWN: "pass"}
        self.connections = set()
        self.accepted = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.address = self.call(self.listen())

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=30)

    async def listen(self):
        self.healed = asyncio.Event()
        self.healed.set()
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]

    def set(self, up="pass", down="pass"):
        async def change():
            self.modes = {UP: up, DOWN: down}
            for connection in self.connections:
                connection.meet(self.modes)
            waiting, self.healed = self.healed, asyncio.Event()
            waiting.set()

        self.call(change())

    def reset(self):
        """Every open connection ends at once, in both directions."""
        async def abort():
            for connection in list(self.connections):
                connection.abort()

        self.call(abort())

    def close(self):
        async def end():
            self.server.close()
            for connection in list(self.connections):
                connection.abort()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.call(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    async def serve(self, reader, writer):
        self.accepted += 1
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        connection = Connection(writer, up_writer)
        connection.meet(self.modes)
        self.connections.add(connection)
        try:
            await asyncio.gather(self.pump(connection, UP, reader, up_writer),
                                 self.pump(connection, DOWN, up_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            connection.abort()
            self.connections.discard(connection)

    async def pump(self, connection, direction, reader, writer):
        while data := await reader.read(CHUNK):
            while self.modes[direction] == "hold" and direction not in connection.lost:
                await self.healed.wait()
            if direction not in connection.lost:
                writer.write(data)
                await writer.drain()
        # An end travels like a byte: where bytes vanish, so does it.
        while self.modes[direction] == "hold" and direction not in connection.lost:
            await self.healed.wait()
        if direction not in connection.lost:
            writer.transport.abort()


class Connection:
    def __init__(self, *writers):
        self.writers = writers
        self.lost = set()  # directions in which bytes vanish for ever

    def meet(self, modes):
        self.lost |= {direction for direction, mode in modes.items() if mode == "drop"}

    def abort(self):
        for writer in self.writers:
            writer.transport.abort()
