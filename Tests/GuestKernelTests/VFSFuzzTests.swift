import Testing

@testable import GuestKernel

/// Random operations with absurd arguments: nothing traps, and at the end every frame is back.
@Suite struct VFSFuzzTests {
  struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) ^ (state << 31)
    }
    mutating func pick<T>(_ values: [T]) -> T { values[Int(next() >> 8) % values.count] }
  }

  static let names = [
    "a", "b", "c", "..", ".", "", "tmp", "dev", "proc", "self", "fd", "0", "null", "zero", "exe",
    "cwd", "task", "stat", "maps", "sys", "kernel", "full", "fifo", "\u{fffd}",
  ]
  static let numbers: [Int64] = [
    0, 1, -1, 2, 3, 7, 4095, 4096, 4097, 65536, .max, .max - 1, .min, .min + 1, 1 << 31, 1 << 32,
    1 << 62, -4096,
  ]

  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func `random operations`(_ seed: UInt64) throws {
    var random = Random(state: seed)
    var world: World? = try World(pages: 64)
    let frames = try #require(world?.frames)
    if let world { run(world, &random) }
    world = nil
    #expect(frames.used == 0)
  }

  private func path(_ random: inout Random) -> Path {
    let parts = (0..<Int(random.next() % 4) + 1).map { _ in random.pick(Self.names) }
    return Path((random.next() & 1 == 0 ? "/" : "") + parts.joined(separator: "/"))
  }

  private func run(_ world: World, _ random: inout Random) {
    let source = VFSProcTests.Source()
    let (vfs, context, memory) = (world.vfs, world.context, world.memory)
    vfs.proc = source
    source.place = context
    source.space = memory
    let table = source.table
    table.limit = 24
    for _ in 0..<4000 {
      let one = path(&random)
      let two = path(&random)
      let big = random.pick(Self.numbers)
      let other = random.pick(Self.numbers)
      let flags = OpenFlags(rawValue: Int32(truncatingIfNeeded: random.next() >> 20))
      let fd = Int32(random.next() % 26) - 1
      let bits = UInt32(truncatingIfNeeded: random.next())
      let va = random.pick([0, 0x1000, 0x10fff, UInt64.max, UInt64(bitPattern: big)])
      let count = UInt64(bitPattern: other)
      let operation = random.next() % 34
      _ = errno {
        switch operation {
        case 0, 1, 2, 3:
          let wanted =
            operation == 0 ? flags : OpenFlags([.create, .readWrite]).subtracting(flags)
          _ = try table.allocate(try vfs.open(one, wanted, mode: bits, context))
        case 4, 5: try vfs.makeDirectory(one, mode: bits, context)
        case 6: try vfs.unlink(one, context)
        case 7: try vfs.removeDirectory(one, context)
        case 8, 9: try vfs.rename(one, to: two, flags: bits % 4, context)
        case 10: try vfs.link(one, to: two, flags: LookupFlags(rawValue: bits & 5), context)
        case 11: try vfs.makeSymlink(one, two, context)
        case 12: try vfs.makeNode(one, mode: bits & 0o170777, device: UInt64(bits), context)
        case 13: _ = try vfs.readlink(one, context)
        case 14: try vfs.changeDirectory(one, context)
        case 15: try vfs.truncate(one, to: big, context)
        case 16: _ = try table.allocate(vfs.makePipe(), closeOnExec: false)
        case 17: _ = try table.allocate(vfs.makeSocketPair(), closeOnExec: true)
        case 18: try table.close(fd)
        case 19: _ = try table.dup2(fd, Int32(truncatingIfNeeded: big))
        case 20: _ = try table[fd].read(Int(clamping: min(big, 100_000)))
        case 21: _ = try table[fd].write([UInt8](repeating: 1, count: Int(bits % 9000)))
        case 22: _ = try table[fd].seek(big, Int32(bits % 6))
        case 23: try table[fd].truncate(to: big)
        case 24: try table[fd].allocate(mode: Int32(bits % 4), big, other)
        case 25: _ = try table[fd].readDirectory(Int(big))
        case 26:
          let requests: [UInt32] = [0x5401, 0x541b, 0x5421, 0x5460, 2, bits]
          _ = try table.ioctl(fd, requests[Int(bits % 6)], va, memory)
        case 27: _ = try table[fd].read(count, to: memory, va, position: bits & 1 == 0 ? nil : big)
        case 28:
          _ = try table[fd].write(count, from: memory, va, position: bits & 1 == 0 ? nil : big)
        case 29: _ = try table[fd].inode.page(UInt64(bitPattern: big), forWrite: true)
        case 30:
          let lock = RecordLock(
            kind: Int16(bits % 4), whence: Int16(bits / 4 % 4), start: big, length: other)
          try table[fd].setLock(lock, table)
          _ = try table[fd].testLock(lock, FileTable())
        case 31:
          let dentry = try vfs.resolve(
            one, context, from: try table.base(fd, one), flags: LookupFlags(rawValue: bits & 255))
          _ = (dentry.inode.attributes(), vfs.path(of: dentry, context), vfs.statistics(dentry))
          try vfs.setTimes(dentry, accessed: .at(big), modified: .now, context)
        case 32: _ = try table[fd].setPipeSize(count)
        default:
          _ = try table[fd].poll()
          _ = try vfs.currentDirectory(context)
          if bits % 8 == 0 { try table.closeRange(0, bits, flags: 0) }
        }
      }
    }
    table.closeAll()
  }
}
