import Engine
import Testing

@testable import GuestKernel

@Suite("MM: mmap, munmap, brk") struct MMMapTests {
  @Test func arguments() throws {
    let bench = try Bench()
    let space = bench.space
    #expect(errno { _ = try bench.map(0) } == .EINVAL)
    #expect(errno { _ = try bench.map(.max) } == .ENOMEM)
    #expect(errno { _ = try bench.map(.max - 4095) } == .ENOMEM)
    #expect(errno { _ = try bench.map(1 << 38) } == .ENOMEM)
    #expect(errno { _ = try bench.map(page, flags: MM.MAP_ANONYMOUS) } == .EINVAL)
    #expect(errno { _ = try bench.map(page, flags: MM.MAP_PRIVATE) } == .EBADF)
    #expect(
      errno { _ = try bench.map(page, flags: MM.MAP_SHARED_VALIDATE | MM.MAP_ANONYMOUS) }
        == .EINVAL)
    #expect(
      errno { _ = try bench.map(page, at: 0x10001, flags: anonymous | MM.MAP_FIXED) } == .EINVAL)
    #expect(
      errno { _ = try bench.map(page, at: 1 << 38, flags: anonymous | MM.MAP_FIXED) } == .ENOMEM)
    #expect(
      errno { _ = try bench.map(page, at: .max & ~4095, flags: anonymous | MM.MAP_FIXED) }
        == .ENOMEM)
    #expect(errno { _ = try bench.map(page, offset: 1) } == .EINVAL)
    #expect(
      errno { _ = try bench.map(page, flags: sharedAnonymous | MM.MAP_GROWSDOWN) } == .EINVAL)
    #expect(space.vmas.isEmpty)
    #expect(errno { try space.munmap(1, page) } == .EINVAL)
    #expect(errno { try space.munmap(0, 0) } == .EINVAL)
    #expect(errno { try space.munmap(page, .max) } == .EINVAL)
    #expect(errno { try space.munmap(1 << 39, page) } == .EINVAL)
    #expect(errno { try space.munmap(page, page) } == nil)
  }

  @Test func placement() throws {
    let bench = try Bench()
    let base = (1 << 38) - (128 << 20) as UInt64
    // Top down, adjoining ones become one mapping.
    let first = try bench.map(1)
    #expect(first == base - page)
    #expect(try bench.map(2 * page) == base - 3 * page)
    #expect(bench.space.vmas.count == 1)
    // A hint is taken where it is free, else not; a low one is raised.
    #expect(try bench.map(page, at: 0x4000_0123) == 0x4000_0000)
    #expect(try bench.map(page, at: 0x4000_0000) == base - 4 * page)
    #expect(try bench.map(page, at: 0x1001) == 65536)
    // A hole is used again.
    try bench.space.munmap(first, page)
    #expect(try bench.map(page, prot: 1) == first)
    #expect(
      errno { _ = try bench.map(page, at: first, flags: anonymous | MM.MAP_FIXED_NOREPLACE) }
        == .EEXIST)
    #expect(try bench.map(page, at: first, flags: anonymous | MM.MAP_FIXED) == first)
  }

  @Test func holesAreFoundWhateverCameBefore() throws {
    let bench = try Bench()
    let block = try bench.map(64 * page, prot: 0)
    for hole: UInt64 in [1, 3, 2, 5] {
      try bench.space.munmap(block + hole * 8 * page, hole * page)
    }
    #expect(try bench.map(5 * page, prot: 1) == block + 40 * page)
    #expect(try bench.map(2 * page, prot: 1) == block + 25 * page)
    #expect(try bench.map(2 * page, prot: 1) == block + 16 * page)
    #expect(try bench.map(page, prot: 1) == block + 24 * page)
    #expect(try bench.map(page, prot: 1) == block + 8 * page)
    #expect(try bench.map(page, prot: 1) == block - page)
  }

  @Test func refusedMappingLeavesItsHole() throws {
    let bench = try Bench()
    let (file, _) = try bench.file([1])
    let first = try bench.map(page, prot: 1)
    #expect(
      errno { _ = try bench.map(page, flags: MM.MAP_SHARED, file: file) } == .EACCES)
    #expect(try bench.map(page, prot: 1) == first - page)
  }

  @Test func splitAndMerge() throws {
    let bench = try Bench()
    let base = try bench.map(10 * page, at: 0x10_0000)
    for index: UInt64 in 0..<10 { try bench.space.store(base + index * page, index) }
    try bench.space.munmap(base + 3 * page, page)
    #expect(bench.shape(base) == ["0-3 3", "4-10 3"])
    #expect(errno { _ = try bench.space.load(base + 3 * page, as: UInt8.self) } == .EFAULT)
    #expect(try bench.space.load(base + 4 * page, as: UInt64.self) == 4)
    try bench.space.mprotect(base + 5 * page, 2 * page, 1)
    #expect(bench.shape(base) == ["0-3 3", "4-5 3", "5-7 1", "7-10 3"])
    #expect(errno { try bench.space.store(base + 5 * page, UInt8(1)) } == .EFAULT)
    #expect(try bench.space.load(base + 5 * page, as: UInt64.self) == 5)
    try bench.space.mprotect(base + 5 * page, 2 * page, rw)
    #expect(bench.shape(base) == ["0-3 3", "4-10 3"])
    try bench.space.store(base + 5 * page, UInt64(55))
    _ = try bench.map(page, at: base + 3 * page, flags: anonymous | MM.MAP_FIXED)
    #expect(bench.shape(base) == ["0-10 3"])
    #expect(try bench.space.load(base + 3 * page, as: UInt64.self) == 0)
    #expect(bench.space.mappedBytes == 10 * page)
    #expect(bench.space.dataBytes == 10 * page)
    try bench.space.munmap(base, 10 * page)
    #expect(bench.space.mappedBytes == 0)
    #expect(bench.space.dataBytes == 0)
    #expect(bench.space.residentPages == 0)
    // The root alone is left.
    #expect(bench.frames.used == bench.before + 1)
  }

  @Test func tablesAreFreedWithTheirLastMapping() throws {
    let bench = try Bench()
    let one = try bench.map(page, at: 0x4000_0000)
    let two = try bench.map(page, at: 0x4020_0000)
    let far = try bench.map(page, at: 0x20_0000_0000)
    for va in [one, two, far] { try bench.space.store(va, UInt8(1)) }
    #expect(bench.frames.used == bench.before + 1 + 3 + 3 + 2)
    try bench.space.munmap(one, page)
    #expect(bench.frames.used == bench.before + 1 + 2 + 2 + 2)
    #expect(bench.space.takeFlush().translations == .all)
    try bench.space.munmap(two, page)
    #expect(bench.frames.used == bench.before + 1 + 1 + 1 + 1)
    #expect(try bench.space.load(far, as: UInt8.self) == 1)
    try bench.space.munmap(0, 1 << 38)
    #expect(bench.frames.used == bench.before + 1)
  }

  @Test func limits() throws {
    let bench = try Bench()
    bench.space.limits.addressSpace = 16 * page
    let base = try bench.map(16 * page, at: 0x10_0000)
    #expect(errno { _ = try bench.map(page) } == .ENOMEM)
    // What is replaced does not count.
    _ = try bench.map(4 * page, at: base, flags: anonymous | MM.MAP_FIXED)
    bench.space.limits.addressSpace = .max
    bench.space.limits.data = 20 * page
    _ = try bench.map(4 * page)
    #expect(errno { _ = try bench.map(page) } == .ENOMEM)
    let reserved = try bench.map(page, prot: 1)
    #expect(errno { try bench.space.mprotect(reserved, page, rw) } == .ENOMEM)
    bench.space.limits.data = .max
    // More than there is: refused, unless no one asks for it to be there.
    #expect(errno { _ = try bench.map(1 << 30) } == .ENOMEM)
    #expect(try bench.map(1 << 30, prot: 0) > 0)
    #expect(try bench.map(1 << 30, flags: anonymous | MM.MAP_NORESERVE) > 0)
  }

  @Test func heap() throws {
    let bench = try Bench()
    let space = bench.space
    space.layout.startBrk = 0x20000
    space.layout.brk = 0x20000
    #expect(space.brk(0) == 0x20000)
    #expect(space.brk(0x1ffff) == 0x20000)
    #expect(space.brk(0x20010) == 0x20010)
    #expect(space.vmas.count == 1)
    #expect(space.brk(0x30000) == 0x30000)
    #expect(space.vmas.count == 1)
    #expect(space.vmas[0].name == "[heap]")
    try space.store(0x2fff8, UInt64(7))
    #expect(space.brk(0x20001) == 0x20001)
    #expect(space.vmas[0].end == 0x21000)
    #expect(space.brk(0x30000) == 0x30000)
    #expect(try space.load(0x2fff8, as: UInt64.self) == 0)
    _ = try bench.map(page, at: 0x40000)
    #expect(space.brk(0x40000) == 0x30000)
    #expect(space.brk(0x3f000) == 0x3f000)
    #expect(space.brk(.max) == 0x3f000)
    #expect(space.brk(1 << 38) == 0x3f000)
    space.limits.data = 0x1f000
    #expect(space.brk(0x3f001) == 0x3f000)
    #expect(space.brk(0x20000) == 0x20000)
    #expect(space.vmas.count == 1)
  }

  @Test func populate() throws {
    let bench = try Bench()
    _ = try bench.map(4 * page, flags: anonymous | MM.MAP_POPULATE)
    #expect(bench.space.residentPages == 4)
    _ = try bench.map(4 * page, flags: anonymous | MM.MAP_POPULATE | MM.MAP_NONBLOCK)
    #expect(bench.space.residentPages == 4)
    _ = try bench.map(4 * page, flags: anonymous | MM.MAP_LOCKED)
    #expect(bench.space.residentPages == 8)
    try bench.space.mlockall(MM.MCL_FUTURE)
    let locked = try bench.map(2 * page, prot: 1)
    #expect(bench.space.residentPages == 10)
    #expect(errno { try bench.space.madvise(locked, page, 4) } == .EINVAL)
    try bench.space.munlock(locked + 1, 1)
    try bench.space.madvise(locked, page, 4)
    #expect(bench.space.residentPages == 9)
    #expect(try bench.space.mincore(locked, 2 * page) == [0, 1])
  }

  @Test func mapsText() throws {
    let bench = try Bench()
    bench.space.layout.startBrk = 0x20000
    bench.space.layout.brk = 0x20000
    _ = bench.space.brk(0x21000)
    _ = try bench.map(page, at: 0x4000_0000, prot: 5)
    _ = try bench.map(page, at: 0x10_0000_0000, flags: sharedAnonymous)
    let blank = String(repeating: " ", count: 41)
    #expect(
      bench.space.mapsText() == """
        00020000-00021000 rw-p 00000000 00:00 0 \(blank.dropFirst(8))[heap]
        40000000-40001000 r-xp 00000000 00:00 0 
        1000000000-1000001000 rw-s 00000000 00:01 0 \(blank.dropFirst(12))/dev/zero (deleted)

        """)
  }
}
