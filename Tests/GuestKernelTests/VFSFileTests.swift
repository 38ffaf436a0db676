import Testing

@testable import GuestKernel

@Suite struct VFSFileTests {
  @Test func `holes read as zero and take no frames`() throws {
    let world = try World()
    let before = world.frames.used
    let file = try world.open("/f", [.create, .readWrite])
    #expect(try file.pwrite([1], at: 1 << 40) == 1)
    #expect(world.frames.used == before + 1)
    #expect(try file.pread(4, at: (1 << 40) - 3) == [0, 0, 0, 1])
    #expect(try file.pread(4, at: 77) == [0, 0, 0, 0])
    #expect(file.inode.attributes().blocks == 8)
    #expect(file.inode.size == (1 << 40) + 1)
  }

  @Test func `what is written through a page is read, and the other way`() throws {
    let world = try World()
    let file = try world.write("/f", "hello")
    let pa = try file.inode.page(0, forWrite: true)
    #expect(world.ram.bytes(pa, 5) == Array("hello".utf8))
    world.ram.write(pa, Array("J".utf8))
    #expect(try world.text("/f") == "Jello")
  }

  @Test func `frames go with the last of link, opening and mapping`() throws {
    let world = try World()
    let before = world.frames.used
    var file: OpenFile? = try world.write("/f", "hello")
    let pa = try #require(try file?.inode.page(0, forWrite: false))
    #expect(world.frames.references(pa) == 1)
    try world.vfs.unlink("/f", world.context)
    #expect(try file?.pread(9, at: 0) == Array("hello".utf8))
    world.frames.retain(pa)
    file = nil
    #expect(world.frames.used == before + 1)
    world.frames.release(pa)
    #expect(world.frames.used == before)
  }

  @Test func `frames go with the tree`() throws {
    var world: World? = try World()
    let frames = try #require(world?.frames)
    try world?.write("/tmp/f", "x")
    #expect(frames.used > 0)
    world = nil
    #expect(frames.used == 0)
  }

  private final class Mapping: InodeMapping {
    var cuts: [UInt64] = []
    func unmapPages(of inode: Inode, from index: UInt64) { cuts.append(index) }
  }

  @Test func `cutting unmaps, frees and clears the tail`() throws {
    let world = try World()
    let file = try world.open("/f", [.create, .readWrite])
    _ = try file.write([UInt8](repeating: 7, count: 3 * 4096))
    let mapping = Mapping()
    file.inode.addMapping(mapping)
    let before = world.frames.used
    try file.truncate(to: 4097)
    #expect(mapping.cuts == [2] && world.frames.used == before - 1)
    try file.truncate(to: 8192)
    #expect(try file.pread(4096, at: 4096) == [7] + [UInt8](repeating: 0, count: 4095))
    #expect(errno { try file.inode.page(2, forWrite: false) } == .EFAULT)
    file.inode.removeMapping(mapping)
  }

  @Test func `what a mapping wrote behind the end does not appear when the file grows`() throws {
    let world = try World()
    let file = try world.write("/f", "x")
    world.ram.write(try file.inode.page(0, forWrite: true) &+ 1, [9, 9])
    _ = try file.pwrite([1], at: 100)
    #expect(try file.pread(3, at: 0) == [120, 0, 0])
  }

  @Test(
    arguments: [
      (-1, Errno?.some(.EINVAL)), (.min, .EINVAL), (.max, nil), (0, nil), (1 << 62, nil),
    ] as [(Int64, Errno?)])
  func truncation(_ size: Int64, _ expected: Errno?) throws {
    let world = try World()
    let file = try world.write("/f", "x")
    #expect(errno { try file.truncate(to: size) } == expected)
    #expect(errno { try world.vfs.truncate("/f", to: size, world.context) } == expected)
    if expected == nil { #expect(try file.pread(10, at: .max).isEmpty) }
  }

  @Test(
    arguments: [
      (0, 0, Errno?.none), (.max, 0, nil), (-1, 0, .EINVAL), (.min, 1, .EINVAL),
      (.max, 1, .EOVERFLOW),
      (-2, 2, .EINVAL), (-1, 2, nil), (.max, 2, .EOVERFLOW), (0, 3, nil), (99, 3, .ENXIO),
      (-1, 3, .ENXIO), (0, 4, nil), (0, 5, .EINVAL), (0, -1, .EINVAL), (.max, 3, .ENXIO),
    ] as [(Int64, Int32, Errno?)])
  func seeking(_ offset: Int64, _ whence: Int32, _ expected: Errno?) throws {
    let world = try World()
    let file = try world.write("/f", "x")
    #expect(errno { try file.seek(offset, whence) } == expected)
  }

  @Test(
    arguments: [
      (0, 3, 8192), (8192, 3, 8192), (0, 4, 0), (8192, 4, 12288), (12288, 3, 20480),
      (20480, 4, 20481),
    ] as [(Int64, Int32, Int64)])
  func `data and holes are found`(_ offset: Int64, _ whence: Int32, _ expected: Int64) throws {
    let world = try World()
    let file = try world.open("/f", [.create, .readWrite])
    _ = try file.pwrite([1], at: 8192)
    _ = try file.pwrite([1], at: 20480)
    #expect(try file.seek(offset, whence) == expected)
  }

  @Test(
    arguments: [
      (.readOnly, nil, Errno?.some(.EBADF)), (.writeOnly, .EBADF, nil), (.readWrite, nil, nil),
      (.path, .EBADF, .EBADF), (OpenFlags(rawValue: 3), .EBADF, .EBADF),
    ] as [(OpenFlags, Errno?, Errno?)])
  func `access modes`(_ flags: OpenFlags, _ read: Errno?, _ write: Errno?) throws {
    let world = try World()
    try world.write("/f", "x")
    let file = try world.open("/f", flags)
    #expect(errno { try file.read(1) } == read)
    #expect(errno { try file.pread(1, at: 0) } == read)
    #expect(errno { try file.write([1]) } == write)
    #expect(errno { try file.pwrite([1], at: 0) } == write)
    #expect(errno { try file.read(1, to: world.memory, 0x1000) } == read)
    #expect(errno { try file.write(1, from: world.memory, 0x1000) } == write)
  }

  @Test func `appending ignores the position`() throws {
    let world = try World()
    try world.write("/f", "ab")
    let file = try world.open("/f", [.writeOnly, .append])
    _ = try file.write([99])
    _ = try file.pwrite([100], at: 0)
    #expect(try world.text("/f") == "abcd")
    #expect(file.offset == 3)
  }

  @Test(
    arguments: [
      (-1, Errno.EINVAL), (.min, .EINVAL), (Int64.max, .EFBIG),
    ] as [(Int64, Errno)])
  func `writing at absurd offsets`(_ offset: Int64, _ expected: Errno) throws {
    let world = try World()
    let file = try world.write("/f", "x")
    #expect(errno { try file.pwrite([1], at: offset) } == expected)
    #expect(errno { try file.write(1, from: world.memory, 0x1000, position: offset) } == expected)
  }

  @Test func `the last byte that a file may have`() throws {
    let world = try World()
    let file = try world.write("/f", "x")
    #expect(try file.pwrite([1, 2, 3], at: .max - 1) == 1)
    #expect(file.inode.size == UInt64(Int64.max))
    #expect(try file.pread(5, at: .max - 1) == [1])
  }

  @Test func `no frames: writes get short, then fail`() throws {
    let world = try World(pages: 4)
    let file = try world.open("/f", [.create, .readWrite])
    #expect(try file.write([UInt8](repeating: 1, count: 5 * 4096)) == 4 * 4096)
    #expect(errno { try file.write([1]) } == .ENOSPC)
    try file.truncate(to: 1 << 20)
    #expect(errno { try file.inode.page(9, forWrite: false) } == .ENOMEM)
    try file.truncate(to: 0)
    #expect(try file.pwrite([1], at: 0) == 1)
  }

  @Test(
    arguments: [
      (0, 0, 8192, Errno?.none), (0, 0, 1 << 40, .ENOSPC), (0, 0, 0, .EINVAL), (0, -1, 5, .EINVAL),
      (0, .max, .max, .EFBIG), (2, 0, 1, .EOPNOTSUPP), (3, 0, .max, nil), (3, .max - 1, 1, nil),
      (64, 0, 1, .EOPNOTSUPP),
    ] as [(Int32, Int64, Int64, Errno?)])
  func fallocate(_ mode: Int32, _ offset: Int64, _ count: Int64, _ expected: Errno?) throws {
    let world = try World()
    let file = try world.write("/f", "x")
    #expect(errno { try file.allocate(mode: mode, offset, count) } == expected)
  }

  @Test func `a punched hole is zero and keeps the size`() throws {
    let world = try World()
    let file = try world.open("/f", [.create, .readWrite])
    _ = try file.write([UInt8](repeating: 7, count: 3 * 4096))
    try file.allocate(mode: 3, 10, 2 * 4096)
    #expect(try file.pread(11, at: 0) == [UInt8](repeating: 7, count: 10) + [0])
    #expect(try file.pread(2, at: 4096) == [0, 0])
    #expect(try file.pread(2, at: 2 * 4096 + 9) == [0, 7])
    #expect(file.inode.size == 3 * 4096 && file.inode.attributes().blocks == 16)
  }

  @Test func `reading into memory that ends is short and keeps the rest`() throws {
    let world = try World()
    let file = try world.open("/f", [.create, .readWrite])
    _ = try file.write([UInt8](repeating: 7, count: 10000))
    file.offset = 0
    // 4096 + 904 bytes fit; a page that faults takes nothing.
    #expect(try file.read(10000, to: world.memory, 0x11000 - 5000) == 5000 - 904 + 904)
    #expect(file.offset == 5000)
    #expect(errno { try file.read(1, to: world.memory, 0) } == .EFAULT)
    #expect(errno { try file.read(.max, to: world.memory, .max) } == .EFAULT)
    #expect(file.offset == 5000)
    #expect(try file.read(0, to: world.memory, 0) == 0)
  }

  @Test func `writing from memory that ends is short`() throws {
    let world = try World()
    let file = try world.open("/f", [.create, .readWrite])
    #expect(try file.write(.max, from: world.memory, 0x11000 - 4096) == 4096)
    #expect(errno { try file.write(5, from: world.memory, .max - 1) } == .EFAULT)
    #expect(file.inode.size == 4096)
  }

  @Test func `large transfers go through in pieces`() throws {
    let world = try World(pages: 64)
    let file = try world.open("/f", [.create, .readWrite])
    world.memory.bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 / 100) }
    let original = world.memory.bytes
    #expect(try file.write(200_000, from: world.memory, 0x1000) == 200_000)
    world.memory.bytes = [UInt8](repeating: 0, count: 200_000)
    #expect(try file.read(200_000, to: world.memory, 0x1000, position: 0) == 200_000)
    #expect(world.memory.bytes == original)
  }

  @Test func `a file that is executed is not written, and the other way`() throws {
    let world = try World()
    try world.write("/p", "x")
    #expect(errno { try world.vfs.openExecutable("/p", world.context) } == .EACCES)
    try world.vfs.setMode(try world.vfs.resolve("/p", world.context), 0o755, world.context)
    var writer: OpenFile? = try world.open("/p", .writeOnly)
    #expect(errno { try world.vfs.openExecutable("/p", world.context) } == .ETXTBSY)
    withExtendedLifetime(writer) {}
    writer = nil
    var program: OpenFile? = try world.vfs.openExecutable("/p", world.context)
    #expect(errno { try world.open("/p", .writeOnly) } == .ETXTBSY)
    #expect(errno { try world.vfs.truncate("/p", to: 0, world.context) } == .ETXTBSY)
    withExtendedLifetime(program) {}
    program = nil
    #expect(errno { try world.open("/p", .writeOnly) } == nil)
    #expect(errno { try world.vfs.openExecutable("/tmp", world.context) } == .EACCES)
  }

  @Test func `access times follow relatime`() throws {
    let world = try World()
    try world.write("/f", "x")
    world.clock.now = 2000
    _ = try world.text("/f")
    #expect(try world.attributes("/f").accessed == 2000)
    world.clock.now = 3000
    _ = try world.text("/f")
    #expect(try world.attributes("/f").accessed == 2000)
    world.clock.now = 90_000_000_000_000
    _ = try world.text("/f")
    #expect(try world.attributes("/f").accessed == 90_000_000_000_000)
  }

  @Test func `nameless files`() throws {
    let world = try World()
    let memory = try world.vfs.makeMemoryFile("x")
    #expect(memory.path == "/memfd:x (deleted)" && memory.inode.links == 0)
    let shared = try VFS.makeSharedMemory(8192, world.frames)
    #expect(shared.path == "/dev/zero (deleted)")
    #expect(errno { try shared.inode.page(1, forWrite: true) } == nil)
    #expect(errno { try shared.inode.page(2, forWrite: true) } == .EFAULT)
    #expect(errno { try VFS.makeSharedMemory(.max, world.frames) } == .EFBIG)
  }

  @Test func `statfs counts frames`() throws {
    let world = try World()
    let before = world.vfs.statistics(world.vfs.root)
    try world.write("/f", "x")
    let after = world.vfs.statistics(world.vfs.root)
    #expect(after.magic == 0x0102_1994 && after.freeBlocks == before.freeBlocks - 1)
    #expect(after.freeFiles == before.freeFiles - 1 && after.blocks == before.blocks)
  }

  @Test func `record locks of two tables meet`() throws {
    let world = try World()
    let file = try world.write("/f", "0123456789")
    let one = FileTable()
    let two = FileTable()
    let fd = try one.allocate(file)
    let lock = RecordLock(kind: 1, whence: 0, start: 2, length: 4, process: 11)
    try file.setLock(lock, one)
    #expect(try file.testLock(lock, two).process == 11)
    #expect(errno { try file.setLock(lock, two) } == .EAGAIN)
    try file.setLock(RecordLock(kind: 2, whence: 0, start: 3, length: 1), one)
    #expect(
      errno { try file.setLock(RecordLock(kind: 1, whence: 0, start: 3, length: 1), two) } == nil)
    #expect(
      try file.testLock(RecordLock(kind: 0, whence: 0, start: 4, length: 0), two).start == 4)
    try one.close(fd)
    #expect(try file.testLock(lock, two).kind == 2)
  }

  @Test(
    arguments: [
      (RecordLock(kind: 5, whence: 0, start: 0, length: 0), Errno?.some(.EINVAL)),
      (RecordLock(kind: 0, whence: 9, start: 0, length: 0), .EINVAL),
      (RecordLock(kind: 0, whence: 0, start: -1, length: 0), .EINVAL),
      (RecordLock(kind: 0, whence: 0, start: .min, length: .min), .EINVAL),
      (RecordLock(kind: 0, whence: 2, start: .max, length: 0), .EOVERFLOW),
      (RecordLock(kind: 0, whence: 0, start: .max, length: .max), .EOVERFLOW),
      (RecordLock(kind: 0, whence: 2, start: 0, length: -1), nil),
      (RecordLock(kind: 2, whence: 0, start: 0, length: 0), nil),
    ] as [(RecordLock, Errno?)])
  func `lock ranges`(_ lock: RecordLock, _ expected: Errno?) throws {
    let world = try World()
    let file = try world.write("/f", "x")
    #expect(errno { try file.setLock(lock, FileTable()) } == expected)
  }

  @Test func `flock belongs to the open file`() throws {
    let world = try World()
    let one = try world.write("/f", "x")
    var two: OpenFile? = try world.open("/f")
    try two?.flock(2)
    #expect(errno { try one.flock(1 | 4) } == .EAGAIN)
    #expect(errno { try one.flock(3) } == .EINVAL)
    let woken = World.Woken()
    one.lockQueue.add(woken)
    withExtendedLifetime(two) {}
    two = nil
    #expect(woken.count == 1 && errno { try one.flock(2) } == nil)
  }
}
