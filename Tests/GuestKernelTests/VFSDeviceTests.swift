import Testing

@testable import GuestKernel

@Suite struct VFSDeviceTests {
  @Test func `the null, zero, full and random devices`() throws {
    let world = try World()
    let null = try world.open("/dev/null", .readWrite)
    #expect(try null.write([1, 2]) == 2 && null.read(5) == [])
    let zero = try world.open("/dev/zero", .readWrite)
    #expect(try zero.read(3) == [0, 0, 0] && zero.write([1]) == 1)
    #expect(zero.inode.isZeroDevice && zero.offset == 0)
    let full = try world.open("/dev/full", .readWrite)
    #expect(errno { try full.write([1]) } == .ENOSPC)
    #expect(try full.read(2) == [0, 0])
    #expect(try world.open("/dev/urandom").read(3) == [0x5a, 0x5a, 0x5a])
    #expect(try world.attributes("/dev/null").representedDevice.encoded == 0x103)
    #expect(try null.seek(5, 0) == 0)
    #expect(errno { try null.truncate(to: 0) } == .EINVAL)
  }

  @Test func `a device is known by its number`() throws {
    let world = try World()
    try world.vfs.makeNode("/mine", mode: 0o020666, device: 0x105, world.context)
    #expect(try world.open("/mine").read(2) == [0, 0])
    try world.vfs.makeNode("/other", mode: 0o020666, device: 0xfff, world.context)
    #expect(errno { try world.open("/other") } == .ENXIO)
    #expect(errno { try world.open("/other", .path) } == nil)
    try world.vfs.makeNode("/socket", mode: 0o140666, device: 0, world.context)
    #expect(errno { try world.open("/socket") } == .ENXIO)
  }

  @Test func `zeroes fill any memory`() throws {
    let world = try World()
    world.memory.bytes = [UInt8](repeating: 9, count: 0x30000)
    #expect(try world.open("/dev/zero").read(.max, to: world.memory, 0x1000) == 0x30000)
    #expect(world.memory.bytes.allSatisfy { $0 == 0 })
  }

  @Test func `the standard streams reach their own streams of the host`() throws {
    let world = try World()
    let streams = world.vfs.standardStreams()
    try #require(streams.count == 3)
    _ = try streams[1].write([65])
    _ = try streams[2].write([66])
    #expect(world.host.output == [1: [65], 2: [66]])
    world.host.refusal = .EPIPE
    #expect(errno { try streams[1].write([65]) } == .EPIPE)
    #expect(streams[0].path == "/dev/console")
    #expect(errno { try streams[0].seek(0, 1) } == .ESPIPE)
  }

  @Test func `console input waits, comes and ends`() throws {
    let world = try World()
    let input = try #require(world.vfs.standardStreams().first)
    #expect(errno { try input.read(5) } == .EAGAIN)
    #expect(input.poll() == .writable)
    let woken = World.Woken()
    input.readQueue?.add(woken)
    world.vfs.consoleInputArrived()
    #expect(woken.count == 1)
    world.host.input = [.bytes([1, 2, 3]), .end]
    #expect(input.poll() == .always)
    #expect(errno { try input.read(5, to: world.memory, 0) } == .EFAULT)
    #expect(try input.read(2) == [1, 2])
    #expect(try input.read(2) == [3])
    #expect(try input.read(2) == [])
    #expect(try input.read(2) == [])
  }

  @Test func `a console that is no terminal says so`() throws {
    let world = try World()
    let input = try #require(world.vfs.standardStreams().first)
    #expect(errno { try input.ioctl(0x5401, 0x1000, world.memory) } == .ENOTTY)
    #expect(errno { try world.open("/dev/tty") } == .ENXIO)
  }

  @Test func `a terminal has modes and a size`() throws {
    var options = VFS.Options()
    options.terminals = [true, true, true]
    let world = try World(options: options)
    let input = try #require(world.vfs.standardStreams().first)
    #expect(try input.ioctl(0x5401, 0x1000, world.memory) == 0)
    #expect(try world.memory.read(0x1000 + 12, 1) == [0o073])
    #expect(try input.ioctl(0x5413, 0x1000, world.memory) == 0)
    #expect(try world.memory.read(0x1000, 4) == [24, 0, 80, 0])
    world.host.input = [.bytes(Array("one\ntwo\n".utf8))]
    #expect(try input.read(100) == Array("one\n".utf8))
    #expect(errno { try world.open("/dev/tty", .readWrite) } == nil)
    #expect(errno { try input.ioctl(0x5401, 0, world.memory) } == .EFAULT)
    #expect(errno { try input.ioctl(0xdead_beef, 0, world.memory) } == .ENOTTY)
  }

  @Test func `regular files answer FIONREAD and no terminal's requests`() throws {
    let world = try World()
    let file = try world.write("/f", "hello")
    file.offset = 2
    _ = try file.ioctl(0x541b, 0x1000, world.memory)
    #expect(try world.memory.int32(0x1000) == 3)
    #expect(errno { try file.ioctl(0x5401, 0x1000, world.memory) } == .ENOTTY)
  }

  // MARK: The host's directory

  private func hosted() throws -> World {
    var options = VFS.Options()
    options.hostRoot = true
    return try World(options: options) { host in
      host.add("/", .directory)
      host.add("/bin", .directory)
      host.add("/bin/sh", .file, Array("#!".utf8) + [UInt8](repeating: 7, count: 5000))
      host.add("/sh", .symlink("bin/sh"))
      host.add("/out", .symlink("/../../bin"))
      host.add("/pipe", .other)
      host.add("/broken", .file, [1])
      host.contents["/broken"] = nil
    }
  }

  @Test func `the host's tree is shown below its root`() throws {
    let world = try hosted()
    #expect(try world.names("/") == ["dev", "proc", "sys", "tmp", "bin", "broken", "out", "sh"])
    #expect(try world.text("/sh").hasPrefix("#!"))
    #expect(try world.attributes("/out/sh").size == 5002)
    #expect(try world.vfs.resolve("/out/..", world.context).inode === world.vfs.root.inode)
    #expect(errno { try world.open("/pipe") } == .ENOENT)
    #expect(errno { try world.open("/broken").read(1) } == .EIO)
    try world.write("/tmp/x", "writable")
  }

  @Test(
    arguments: [
      ("/bin/sh", OpenFlags.writeOnly), ("/bin/sh", .readWrite), ("/bin/sh", .truncate),
      ("/new", [.create, .readWrite]), ("/bin/new", [.create]),
    ] as [(Path, OpenFlags)])
  func `the host's tree is read-only`(_ path: Path, _ flags: OpenFlags) throws {
    let world = try hosted()
    #expect(errno { try world.open(path, flags) } == .EROFS)
  }

  @Test func `no change to the host's tree is allowed`() throws {
    let world = try hosted()
    let vfs = world.vfs
    let node = try vfs.resolve("/bin/sh", world.context)
    let errors = [
      errno { try world.mkdir("/x") }, errno { try vfs.unlink("/sh", world.context) },
      errno { try vfs.removeDirectory("/bin", world.context) },
      errno { try vfs.rename("/sh", to: "/x", world.context) },
      errno { try vfs.link("/bin/sh", to: "/x", world.context) },
      errno { try world.symlink("a", "/x") },
      errno { try vfs.truncate("/bin/sh", to: 0, world.context) },
      errno { try vfs.setMode(node, 0, world.context) },
      errno { try vfs.setOwner(node, uid: 1, gid: 1, world.context) },
      errno { try vfs.setTimes(node, accessed: .now, modified: .now, world.context) },
      errno { try vfs.access("/bin/sh", mode: 2, world.context) },
    ]
    #expect(errors.allSatisfy { $0 == .EROFS })
  }

  @Test func `the host's pages are cached, shared and dropped`() throws {
    let world = try hosted()
    let file = try world.open("/bin/sh")
    let pa = try file.inode.page(1, forWrite: false)
    #expect(world.ram.bytes(pa, 907) == [UInt8](repeating: 7, count: 906) + [0])
    _ = try file.pread(10, at: 5000)
    #expect(world.host.reads == 1)
    world.frames.retain(pa)
    #expect(world.vfs.reclaim() == 0)
    world.frames.release(pa)
    #expect(world.vfs.reclaim() == 1)
    #expect(try file.pread(1, at: 5000) == [7])
  }

  @Test func `programs are put where the user said`() throws {
    let world = try hosted()
    try world.vfs.installProgram("a/./b/../prog", HostBytes([1, 2, 3]))
    #expect(try world.vfs.openExecutable("/a/prog", world.context).read(9) == [1, 2, 3])
    try world.vfs.installProgram("/bin/sh", HostBytes([4]))
    #expect(try world.attributes("/bin/sh").size == 1)
    let bare = try World()
    try bare.vfs.installProgram("/home/me/prog", HostBytes([1]))
    #expect(try bare.names("/home/me") == ["prog"])
    #expect(errno { try bare.open("/home/me/prog", .writeOnly) } == .EROFS)
    #expect(errno { try bare.vfs.installProgram("/", HostBytes([1])) } == .ENOENT)
    #expect(errno { try bare.vfs.installProgram("/home", HostBytes([1])) } == .EISDIR)
  }
}
