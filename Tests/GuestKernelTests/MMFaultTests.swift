import Engine
import Testing

@testable import GuestKernel

@Suite("MM: faults, copy-on-write, stacks") struct MMFaultTests {
  /// What the hardware sees at an address.
  private func leaf(_ space: AddressSpace, _ va: UInt64) -> PageEntry {
    guard let entry = space.table.entry(va) else { return .empty }
    return space.isa.classify(entry.pointee, level: 0)
  }

  @Test func demandZero() throws {
    let bench = try Bench()
    let space = bench.space
    let va = try bench.map(4 * page)
    #expect(space.handleFault(va + 5, .load, user: true) == .handled)
    let zero = try bench.frames.zeroFrame()
    #expect(
      leaf(space, va)
        == .leaf(pa: zero, protection: [.user, .read], accessed: true, dirty: false))
    #expect(space.takeFlush() == (.none, false))
    // The write gets a frame of its own, dirty from the start; the old translation must go.
    #expect(space.handleFault(va + 8, .store, user: true) == .handled)
    guard case .leaf(let pa, [.user, .read, .write], true, true) = leaf(space, va) else {
      Issue.record("not writable and dirty")
      return
    }
    #expect(pa != zero)
    #expect(bench.frames.references(pa) == 1)
    #expect(space.takeFlush() == (.page(va), false))
    // A hart that remembers too little is told to forget.
    #expect(space.handleFault(va, .store, user: true) == .handled)
    #expect(space.takeFlush() == (.page(va), false))
    // A write to what was never there: no flush.
    #expect(space.handleFault(va + page, .store, user: true) == .handled)
    #expect(space.takeFlush() == (.none, false))
    #expect(space.residentPages == 2)
  }

  @Test func signals() throws {
    let bench = try Bench()
    let space = bench.space
    let va = try bench.map(page, prot: 1)
    #expect(space.handleFault(va, .store, user: true) == .accessError)
    #expect(space.handleFault(va, .fetch, user: true) == .accessError)
    #expect(space.handleFault(va + page, .load, user: true) == .mapError)
    #expect(space.handleFault(va - 1, .load, user: true) == .mapError)
    #expect(space.handleFault(1 << 38, .load, user: true) == .mapError)
    #expect(space.handleFault(.max, .store, user: true) == .mapError)
    // Write implies read; execute-only is execute only here.
    let write = try bench.map(page, at: 0x10_0000, prot: 2)
    #expect(space.handleFault(write, .load, user: true) == .handled)
    let execute = try bench.map(page, at: 0x20_0000, prot: 4)
    #expect(space.handleFault(execute, .load, user: true) == .accessError)
    #expect(space.handleFault(execute, .fetch, user: true) == .handled)
    let none = try bench.map(page, at: 0x30_0000, prot: 0)
    #expect(space.handleFault(none, .load, user: true) == .accessError)
  }

  @Test func protNoneKeepsWhatIsThere() throws {
    let bench = try Bench()
    let space = bench.space
    let va = try bench.map(page)
    try space.store(va, UInt32(0x1234_5678))
    try space.mprotect(va, page, 0)
    #expect(leaf(space, va) != .empty)
    #expect(errno { _ = try space.load(va, as: UInt32.self) } == .EFAULT)
    #expect(space.handleFault(va, .load, user: true) == .accessError)
    try space.mprotect(va, page, 1)
    #expect(try space.load(va, as: UInt32.self) == 0x1234_5678)
    #expect(errno { try space.store(va, UInt32(1)) } == .EFAULT)
    try space.mprotect(va, page, rw)
    let used = bench.frames.used
    try space.store(va, UInt32(1))
    #expect(bench.frames.used == used)
    #expect(errno { try space.mprotect(va + 1, page, 1) } == .EINVAL)
    #expect(errno { try space.mprotect(va, page, 16) } == .EINVAL)
    #expect(errno { try space.mprotect(va, 2 * page, 1) } == .ENOMEM)
    #expect(space.vmas[0].prot == 1)
    #expect(errno { try space.mprotect(va, .max - 8191, 1) } == .ENOMEM)
    #expect(errno { try space.mprotect(va, 0, 1) } == nil)
    #expect(errno { try space.mprotect(va, page, 1 | MM.PROT_GROWSDOWN) } == .EINVAL)
  }

  @Test func privateFile() throws {
    let bench = try Bench()
    let space = bench.space
    let (file, inode) = try bench.file(Array(repeating: 7, count: 5000))
    let va = try bench.map(4 * page, flags: MM.MAP_PRIVATE, file: file)
    #expect(try space.load(va, as: UInt8.self) == 7)
    #expect(try space.load(va + 4999, as: UInt16.self) == 7)
    let cached = try inode.page(0, forWrite: false)
    #expect(space.physical(va) == cached)
    #expect(bench.frames.references(cached) == 2)
    try space.store(va, UInt8(9))
    #expect(try space.load(va, as: UInt16.self) == 0x0709)
    #expect(bench.ram.load(cached, as: UInt8.self) == 7)
    #expect(bench.frames.references(cached) == 1)
    #expect(inode.written.isEmpty)
    // The last page begins before the end of the file; the next ones do not.
    #expect(space.handleFault(va + 2 * page, .load, user: true) == .busError)
    #expect(space.handleFault(va + 3 * page, .store, user: true) == .busError)
    #expect(errno { _ = try space.read(va, Int(3 * page)) } == .EFAULT)
    #expect(space.readPartial(va + page, Int(2 * page)).count == Int(page))
    // Truncation takes copies away too.
    inode.length = 0
    space.unmapPages(of: inode, from: 0)
    #expect(space.takeFlush().translations == .all)
    #expect(space.handleFault(va, .load, user: true) == .busError)
    #expect(space.residentPages == 0)
  }

  @Test func sharedFile() throws {
    let bench = try Bench()
    let space = bench.space
    let (file, inode) = try bench.file(Array(repeating: 7, count: 8192), .both)
    let va = try bench.map(2 * page, flags: MM.MAP_SHARED, file: file)
    #expect(try space.load(va, as: UInt8.self) == 7)
    #expect(inode.written.isEmpty)
    try space.store(va, UInt8(8))
    try space.store(va + page, UInt8(9))
    #expect(inode.written == [0, 1])
    #expect(bench.ram.load(try inode.page(0, forWrite: false), as: UInt16.self) == 0x0708)
    #expect(bench.ram.load(try inode.page(1, forWrite: false), as: UInt16.self) == 0x0709)
    let child = try space.fork()
    try child.store(va, UInt8(1))
    #expect(try space.load(va, as: UInt8.self) == 1)
    try space.munmap(va, 2 * page)
    #expect(bench.frames.references(try inode.page(0, forWrite: false)) == 2)
    child.releaseAll()
    #expect(bench.frames.references(try inode.page(0, forWrite: false)) == 1)
  }

  @Test func fileRights() throws {
    let bench = try Bench()
    let (read, _) = try bench.file([1])
    let (write, _) = try bench.file([1], .writing)
    func map(_ file: OpenFile, _ prot: Int32, _ flags: Int32) -> Errno? {
      errno { _ = try bench.map(page, prot: prot, flags: flags, file: file) }
    }
    #expect(map(read, rw, MM.MAP_SHARED) == .EACCES)
    #expect(map(read, rw, MM.MAP_PRIVATE) == nil)
    #expect(map(write, 1, MM.MAP_PRIVATE) == .EACCES)
    #expect(map(write, rw, MM.MAP_SHARED) == .EACCES)
    #expect(map(read, 1, 0) == .EINVAL)
    #expect(map(read, 1, MM.MAP_PRIVATE | MM.MAP_GROWSDOWN) == .EINVAL)
    #expect(map(read, 1, MM.MAP_SHARED_VALIDATE | MM.MAP_SYNC) == .EOPNOTSUPP)
    #expect(
      errno {
        _ = try bench.map(page, flags: MM.MAP_PRIVATE, file: read, offset: .max & ~4095)
      } == .EOVERFLOW)
    let shared = try bench.map(2 * page, prot: 1, flags: MM.MAP_SHARED, file: read)
    #expect(errno { try bench.space.mprotect(shared, page, rw) } == .EACCES)
    #expect(errno { try bench.space.writeForced(shared, [1]) } == .EIO)
  }

  @Test func forkCopiesOnWrite() throws {
    let bench = try Bench()
    let space = bench.space
    let va = try bench.map(3 * page)
    let shared = try bench.map(page, flags: sharedAnonymous)
    for index: UInt64 in 0..<2 { try space.store(va + index * page, index + 1) }
    try space.store(shared, UInt64(10))
    let frame = try #require(space.physical(va))
    _ = space.takeFlush()
    let child = try space.fork()
    #expect(space.takeFlush().translations == .all)
    #expect(bench.frames.references(frame) == 2)
    #expect(child.residentPages == 3)
    try space.store(va, UInt64(100))
    #expect(try child.load(va, as: UInt64.self) == 1)
    #expect(child.physical(va) == frame)
    #expect(bench.frames.references(frame) == 1)
    // The last owner writes without a copy.
    let used = bench.frames.used
    try child.store(va, UInt64(200))
    #expect(child.physical(va) == frame)
    #expect(bench.frames.used == used)
    #expect(try space.load(va, as: UInt64.self) == 100)
    try child.store(shared, UInt64(11))
    #expect(try space.load(shared, as: UInt64.self) == 11)
    // What neither had touched is each one's own; what is shared is one, touched or not.
    try child.store(va + 2 * page, UInt64(5))
    #expect(try space.load(va + 2 * page, as: UInt64.self) == 0)
    let grandchild = try child.fork()
    child.releaseAll()
    #expect(try grandchild.load(va, as: UInt64.self) == 200)
    grandchild.releaseAll()
    space.releaseAll()
    // The object behind the shared mapping went with the last one.
    #expect(bench.frames.used == bench.before)
    space.releaseAll()
  }

  @Test func forkFailsWhole() throws {
    let bench = try Bench(megabytes: 1)
    let va = try bench.map(100 * page, flags: anonymous | MM.MAP_POPULATE)
    let far = try bench.map(page, at: 0x30_0000_0000)
    try bench.space.store(far, UInt8(1))
    var held: [UInt64] = []
    while bench.frames.available > 3 { held.append(try bench.frames.allocate()) }
    let used = bench.frames.used
    #expect(errno { _ = try bench.space.fork() } == .ENOMEM)
    #expect(bench.frames.used == used)
    #expect(try bench.space.load(va, as: UInt8.self) == 0)
    while bench.frames.available > 0 { held.append(try bench.frames.allocate()) }
    let last = try bench.map(page)
    #expect(bench.space.handleFault(last, .store, user: true) == .outOfMemory)
  }

  @Test func adviceOnFork() throws {
    let bench = try Bench()
    let space = bench.space
    let va = try bench.map(3 * page)
    for index: UInt64 in 0..<3 { try space.store(va + index * page, index + 1) }
    try space.madvise(va, page, 10)
    try space.madvise(va + page, page, 18)
    let child = try space.fork()
    #expect(child.vma(at: va) == nil)
    #expect(try child.load(va + page, as: UInt64.self) == 0)
    #expect(try child.load(va + 2 * page, as: UInt64.self) == 3)
    #expect(child.mappedBytes == 2 * page)
    try space.madvise(va, page, 11)
    try space.madvise(va + page, page, 19)
    #expect(space.vmas.count == 1)
    try space.madvise(va, 3 * page, 4)
    #expect(try space.load(va, as: UInt64.self) == 0)
    #expect(errno { try space.madvise(va, 4 * page, 4) } == .ENOMEM)
    #expect(errno { try space.madvise(va, page, 7) } == .EINVAL)
    #expect(errno { try space.madvise(va + 1, page, 4) } == .EINVAL)
    #expect(errno { try space.madvise(va, .max, 4) } == .EINVAL)
    #expect(errno { try space.madvise(va, page, 9) } == .EINVAL)
    try space.madvise(va, page, 23)
    #expect(try space.mincore(va, 3 * page) == [1, 0, 0])
  }

  @Test func stackGrowth() throws {
    let bench = try Bench()
    let space = bench.space
    space.limits.stack = 64 * page
    let top: UInt64 = 0x1000_0000
    _ = try bench.map(
      page, at: top - page, flags: anonymous | MM.MAP_FIXED | MM.MAP_GROWSDOWN)
    #expect(space.handleFault(top - 10 * page + 8, .store, user: true) == .handled)
    #expect(space.vmas[0].start == top - 10 * page)
    #expect(try space.load(top - 5 * page, as: UInt64.self) == 0)
    #expect(space.handleFault(top - 64 * page, .store, user: true) == .handled)
    #expect(space.handleFault(top - 65 * page, .store, user: true) == .mapError)
    // The gap below keeps others away, and growth from others.
    space.limits.stack = .max
    let hint = try bench.map(page, at: top - 100 * page)
    #expect(hint != top - 100 * page)
    _ = try bench.map(page, at: top - 330 * page, flags: anonymous | MM.MAP_FIXED)
    #expect(space.handleFault(top - 73 * page, .store, user: true) == .handled)
    #expect(space.handleFault(top - 74 * page, .store, user: true) == .mapError)
    // No access: no gap.
    try space.mprotect(top - 330 * page, page, 0)
    #expect(space.handleFault(top - 74 * page, .store, user: true) == .handled)
    #expect(space.mappedBytes == 76 * page)
    try space.mprotect(top - page, page, 1 | MM.PROT_GROWSDOWN)
    #expect(space.vmas.contains { $0.start == top - 74 * page && $0.prot == 1 })
  }

  @Test func codeIsSeen() throws {
    let bench = try Bench()
    let space = bench.space
    let (file, inode) = try bench.file(Array(repeating: 0x13, count: 4096))
    let va = try bench.map(page, prot: 5, flags: MM.MAP_PRIVATE, file: file)
    #expect(space.handleFault(va, .fetch, user: true) == .handled)
    #expect(space.takeFlush() == (.none, true))
    // The same frame again, in another place: nothing new.
    let other = try bench.map(page, prot: 5, flags: MM.MAP_PRIVATE, file: file)
    #expect(space.handleFault(other, .fetch, user: true) == .handled)
    #expect(space.takeFlush() == (.none, false))
    try space.munmap(other, page)
    bench.frames.noteWritten(try inode.page(0, forWrite: false))
    let third = try bench.map(page, prot: 5, flags: MM.MAP_PRIVATE, file: file)
    #expect(space.handleFault(third, .fetch, user: true) == .handled)
    #expect(space.takeFlush().instructions)
    // A breakpoint goes into a copy.
    try space.writeForced(va + 2, [0x90, 0x02])
    #expect(space.takeFlush() == (.all, true) || space.flushNeeded == .none)
    #expect(try space.read(va, 4) == [0x13, 0x13, 0x90, 0x02])
    #expect(bench.ram.load(try inode.page(0, forWrite: false), as: UInt32.self) == 0x1313_1313)
    #expect(errno { try space.store(va, UInt8(1)) } == .EFAULT)
    // Data that becomes code.
    let data = try bench.map(page)
    try space.store(data, UInt32(0x13))
    _ = space.takeFlush()
    try space.mprotect(data, page, 5)
    #expect(space.takeFlush() == (.page(data), true))
  }
}
