import Testing

@testable import GuestKernel

@Suite struct VFSPipeTests {
  @Test func `bytes come out in order`() throws {
    let (reader, writer) = try World().vfs.makePipe()
    #expect(try writer.write([1, 2, 3]) == 3)
    #expect(try writer.write([4]) == 1)
    #expect(try reader.read(2) == [1, 2])
    #expect(try reader.read(99) == [3, 4])
    #expect(errno { try reader.read(1) } == .EAGAIN)
    #expect(reader.path == "pipe:[1]")
  }

  @Test func `it holds 64 KiB`() throws {
    let (reader, writer) = try World().vfs.makePipe()
    #expect(try writer.write([UInt8](repeating: 1, count: 70000)) == 65536)
    #expect(errno { try writer.write([1]) } == .EAGAIN)
    #expect(try reader.pipeSize() == 65536)
    // As in Linux, room comes by whole pages.
    _ = try reader.read(4095)
    #expect(errno { try writer.write([1]) } == .EAGAIN && writer.poll() == [])
    _ = try reader.read(1)
    #expect(try writer.write([UInt8](repeating: 1, count: 4096)) == 4096)
  }

  @Test func `small writes merge`() throws {
    let (reader, writer) = try World().vfs.makePipe()
    for _ in 0..<65536 { #expect(try writer.write([1]) == 1) }
    #expect(errno { try writer.write([1]) } == .EAGAIN)
    withExtendedLifetime(reader) {}
  }

  @Test func `a write of PIPE_BUF bytes is whole or not at all`() throws {
    let (reader, writer) = try World().vfs.makePipe()
    _ = try writer.write([UInt8](repeating: 1, count: 65536 - 4096))
    _ = try writer.write([UInt8](repeating: 1, count: 100))
    #expect(errno { try writer.write([UInt8](repeating: 2, count: 4000)) } == .EAGAIN)
    #expect(try writer.write([UInt8](repeating: 2, count: 3996)) == 3996)
    withExtendedLifetime(reader) {}
  }

  @Test func `no writer is the end, no reader is EPIPE`() throws {
    var (reader, writer): (OpenFile?, OpenFile?) = try World().vfs.makePipe()
    _ = try writer?.write([1])
    writer = nil
    #expect(try reader?.read(5) == [1])
    #expect(try reader?.read(5) == [])
    #expect(reader?.poll() == .hangUp)
    (reader, writer) = try World().vfs.makePipe()
    reader = nil
    #expect(errno { try writer?.write([1]) } == .EPIPE)
    #expect(try writer?.write([]) == 0)
    #expect(writer?.poll() == [.output, .writeNormal, .error])
  }

  @Test func `an end lives as long as a descriptor has it`() throws {
    let world = try World()
    let parent = FileTable()
    let fds = try parent.allocate(world.vfs.makePipe(), closeOnExec: false)
    let child = parent.clone()
    try parent.close(fds.1)
    #expect(errno { try parent[fds.0].read(1) } == .EAGAIN)
    child.closeAll()
    #expect(try parent[fds.0].read(1) == [])
  }

  @Test func `readers and writers are woken`() throws {
    let (reader, writer) = try World().vfs.makePipe()
    let woken = World.Woken()
    reader.readQueue?.add(woken)
    _ = try writer.write([UInt8](repeating: 1, count: 65536))
    #expect(woken.count == 1)
    writer.writeQueue?.add(woken)
    _ = try reader.read(5)
    #expect(woken.count == 1)
    _ = try reader.read(4096)
    #expect(woken.count == 2)
  }

  @Test func `closing wakes the other side`() throws {
    var (reader, writer): (OpenFile?, OpenFile?) = try World().vfs.makePipe()
    let woken = World.Woken()
    reader?.readQueue?.add(woken)
    withExtendedLifetime(writer) {}
    writer = nil
    #expect(woken.count == 1)
    withExtendedLifetime(reader) {}
    reader = nil
  }

  @Test func `FIONREAD and poll tell what is there`() throws {
    let world = try World()
    let (reader, writer) = try world.vfs.makePipe()
    #expect(reader.poll() == [] && writer.poll() == .writable)
    _ = try writer.write([1, 2, 3])
    #expect(try reader.ioctl(0x541b, 0x1000, world.memory) == 0)
    #expect(try world.memory.int32(0x1000) == 3)
    #expect(reader.poll() == .readable)
    #expect(errno { try reader.ioctl(0x541b, 0, world.memory) } == .EFAULT)
    #expect(errno { try reader.ioctl(0x5401, 0x1000, world.memory) } == .ENOTTY)
  }

  @Test func `what could not be delivered stays`() throws {
    let world = try World()
    let (reader, writer) = try world.vfs.makePipe()
    _ = try writer.write([1, 2, 3])
    #expect(errno { try reader.read(10, to: world.memory, 0) } == .EFAULT)
    #expect(try reader.read(10) == [1, 2, 3])
  }

  @Test(
    arguments: [
      (0, 4096), (1, 4096), (5000, 8192), (1 << 20, 1 << 20),
    ] as [(UInt64, Int)])
  func `the size can be changed`(_ wanted: UInt64, _ got: Int) throws {
    let (reader, _) = try World().vfs.makePipe()
    #expect(try reader.setPipeSize(wanted) == got)
  }

  @Test func `sizes that can't be`() throws {
    let (reader, writer) = try World().vfs.makePipe()
    #expect(errno { try reader.setPipeSize(.max) } == .EINVAL)
    #expect(errno { try reader.setPipeSize((1 << 20) + 1) } == .EPERM)
    _ = try writer.write([UInt8](repeating: 1, count: 8192))
    #expect(errno { try reader.setPipeSize(4096) } == .EBUSY)
  }

  @Test func `a pipe has no positions`() throws {
    let (reader, writer) = try World().vfs.makePipe()
    #expect(errno { try reader.seek(0, 1) } == .ESPIPE)
    #expect(errno { try reader.pread(1, at: 0) } == .ESPIPE)
    #expect(errno { try reader.pread(1, at: -1) } == .EINVAL)
    #expect(errno { try writer.pwrite([1], at: 0) } == .ESPIPE)
    #expect(errno { try writer.truncate(to: 0) } == .EINVAL)
    #expect(errno { try writer.allocate(mode: 0, 0, 1) } == .ESPIPE)
    #expect(errno { try reader.write([1]) } == .EBADF)
    #expect(errno { try writer.read(1) } == .EBADF)
    #expect(errno { try reader.read(-1) } == .EINVAL)
    #expect(errno { try reader.sync() } == .EINVAL)
  }

  @Test func `opening a FIFO waits for the other side`() throws {
    let world = try World()
    try world.vfs.makeNode("/p", mode: 0o010644, device: 0, world.context)
    #expect(errno { try world.open("/p", [.writeOnly, .nonBlock]) } == .ENXIO)
    let reader = try world.open("/p")
    let queue = try #require(reader.openQueue)
    let woken = World.Woken()
    queue.add(woken)
    var writer: OpenFile? = try world.open("/p", .writeOnly)
    #expect(woken.count == 1 && writer?.openQueue == nil)
    // It goes on even if the other side has come and gone.
    withExtendedLifetime(writer) {}
    writer = nil
    #expect(reader.openQueue == nil)
    #expect(try reader.read(1) == [])
  }

  @Test func `a FIFO opened without waiting is not hung up before a writer came`() throws {
    let world = try World()
    try world.vfs.makeNode("/p", mode: 0o010644, device: 0, world.context)
    let reader = try world.open("/p", .nonBlock)
    #expect(reader.openQueue == nil && reader.poll() == [])
    var writer: OpenFile? = try world.open("/p", [.writeOnly, .nonBlock])
    _ = try writer?.write([1])
    writer = nil
    #expect(reader.poll() == [.input, .readNormal, .hangUp])
    #expect(try world.open("/p", .readWrite).openQueue == nil)
  }

  @Test func `sockets carry bytes both ways`() throws {
    var (one, two): (OpenFile?, OpenFile?) = try World().vfs.makeSocketPair()
    _ = try one?.write([1])
    _ = try two?.write([2])
    #expect(try one?.read(9) == [2])
    #expect(try two?.read(9) == [1])
    #expect(errno { try one?.read(1) } == .EAGAIN)
    try one?.shutdown(1)
    #expect(try two?.read(1) == [])
    #expect(errno { try one?.write([1]) } == .EPIPE)
    #expect(two?.poll() == [.input, .readNormal, .output, .writeNormal, .readHangUp])
    one = nil
    #expect(errno { try two?.write([1]) } == .EPIPE)
    #expect(two?.poll().contains(.hangUp) == true)
    two = nil
  }

  @Test func `closing with unread bytes resets`() throws {
    var (one, two): (OpenFile?, OpenFile?) = try World().vfs.makeSocketPair()
    _ = try two?.write([1])
    withExtendedLifetime(one) {}
    one = nil
    #expect(errno { try two?.read(1) } == .ECONNRESET)
    #expect(try two?.read(1) == [])
    two = nil
  }

  @Test func `event counters`() throws {
    let world = try World()
    let event = try world.vfs.makeEvent(2, semaphore: false)
    #expect(event.poll() == [.input, .output])
    #expect(try event.read(8) == [2, 0, 0, 0, 0, 0, 0, 0])
    #expect(errno { try event.read(8) } == .EAGAIN)
    #expect(errno { try event.read(7) } == .EINVAL)
    #expect(errno { try event.write([UInt8](repeating: 255, count: 8)) } == .EINVAL)
    #expect(try event.write([254] + [UInt8](repeating: 255, count: 7)) == 8)
    #expect(errno { try event.write([1, 0, 0, 0, 0, 0, 0, 0]) } == .EAGAIN)
    #expect(event.poll() == .input)
    let semaphore = try world.vfs.makeEvent(2, semaphore: true)
    #expect(try semaphore.read(8).first == 1)
    #expect(try semaphore.read(8).first == 1)
    #expect(errno { try semaphore.read(8) } == .EAGAIN)
  }
}
