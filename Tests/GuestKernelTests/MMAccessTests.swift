import Engine
import Testing

@testable import GuestKernel

@Suite("MM: the kernel's accesses to user memory, mremap, kernel tables") struct MMAccessTests {
  @Test func crossesPages() throws {
    let bench = try Bench()
    let space = bench.space
    let va = try bench.map(2 * page)
    try space.store(va + page - 3, UInt64(0x0102_0304_0506_0708))
    #expect(try space.load(va + page - 3, as: UInt64.self) == 0x0102_0304_0506_0708)
    #expect(try space.read(va + page - 3, 8) == [8, 7, 6, 5, 4, 3, 2, 1])
    // put_user at the end writes all or nothing; copy_to_user writes what it can.
    #expect(errno { try space.store(va + 2 * page - 3, UInt64.max) } == .EFAULT)
    #expect(try space.load(va + 2 * page - 1, as: UInt8.self) == 0)
    #expect(space.writePartial(va + 2 * page - 3, [1, 2, 3, 4, 5]) == 3)
    #expect(try space.read(va + 2 * page - 3, 3) == [1, 2, 3])
    #expect(errno { try space.write(va + 2 * page - 3, [1, 2, 3, 4, 5]) } == .EFAULT)
    #expect(space.readPartial(va + 2 * page - 3, 100) == [1, 2, 3])
    #expect(errno { _ = try space.read(va, -1) } == .EFAULT)
    #expect(errno { _ = try space.read(va, .max) } == .EFAULT)
    #expect(errno { _ = try space.read(.max, 2) } == .EFAULT)
    #expect(errno { _ = try space.load(.max, as: UInt64.self) } == .EFAULT)
    #expect(errno { _ = try space.load((1 << 38) - 4, as: UInt64.self) } == .EFAULT)
    #expect(errno { try space.store(1 << 38, UInt8(0)) } == .EFAULT)
    #expect(errno { try space.clear(va, .max) } == .EFAULT)
    try space.clear(va + page - 3, 8)
    #expect(try space.load(va + page - 3, as: UInt64.self) == 0)
    #expect(try space.read(va, 0) == [])
  }

  @Test func strings() throws {
    let bench = try Bench()
    let space = bench.space
    let va = try bench.map(2 * page)
    try space.write(va + page - 2, Array("hello".utf8))
    #expect(try space.readCString(va + page - 2, max: 100) == Array("hello".utf8))
    #expect(errno { _ = try space.readCString(va + page - 2, max: 5) } == .ENAMETOOLONG)
    #expect(try space.readCString(va + page - 2, max: 6).count == 5)
    try space.write(va + 2 * page - 2, [65, 65])
    #expect(errno { _ = try space.readCString(va + 2 * page - 2, max: 100) } == .EFAULT)
    #expect(errno { _ = try space.readCString(.max, max: 100) } == .EFAULT)
    #expect(errno { _ = try space.readCString(0, max: 100) } == .EFAULT)
  }

  @Test func cachedTranslationsFollowChanges() throws {
    let bench = try Bench()
    let space = bench.space
    let va = try bench.map(2 * page)
    try space.store(va, UInt64(1))
    try space.mprotect(va, page, 1)
    #expect(errno { try space.store(va, UInt64(2)) } == .EFAULT)
    #expect(try space.load(va, as: UInt64.self) == 1)
    try space.mprotect(va, page, rw)
    try space.store(va, UInt64(3))
    let child = try space.fork()
    try space.store(va, UInt64(4))
    #expect(try child.load(va, as: UInt64.self) == 3)
    #expect(try space.load(va, as: UInt64.self) == 4)
    try space.madvise(va, page, 4)
    #expect(try space.load(va, as: UInt64.self) == 0)
    try space.munmap(va, page)
    #expect(errno { _ = try space.load(va, as: UInt64.self) } == .EFAULT)
  }

  @Test func futexKeys() throws {
    let bench = try Bench()
    let space = bench.space
    let own = try bench.map(page)
    let shared = try bench.map(2 * page, flags: sharedAnonymous)
    let child = try space.fork()
    #expect(try space.futexKey(own, shared: true) != child.futexKey(own, shared: true))
    #expect(
      try space.futexKey(shared + page, shared: true) == child.futexKey(shared + page, shared: true)
    )
    #expect(try space.futexKey(shared, shared: true) != space.futexKey(shared + page, shared: true))
    #expect(try space.futexKey(shared, shared: false) != child.futexKey(shared, shared: false))
    #expect(errno { _ = try space.futexKey(own + 2, shared: false) } == .EINVAL)
    #expect(errno { _ = try space.futexKey(0, shared: true) } == .EFAULT)
  }

  @Test func remap() throws {
    let bench = try Bench()
    let space = bench.space
    let may = MM.MREMAP_MAYMOVE
    let va = try bench.map(4 * page, at: 0x10_0000)
    for index: UInt64 in 0..<4 { try space.store(va + index * page, index + 1) }
    // Shrink, grow in place.
    #expect(try space.mremap(va, 4 * page, 2 * page, flags: 0) == va)
    #expect(try space.mremap(va, 2 * page, 3 * page, flags: 0) == va)
    #expect(try space.load(va + 2 * page, as: UInt64.self) == 0)
    #expect(space.vmas.count == 1)
    // In the way: move, and take the pages along.
    _ = try bench.map(page, at: va + 3 * page, prot: 1)
    #expect(errno { _ = try space.mremap(va, 3 * page, 8 * page, flags: 0) } == .ENOMEM)
    let moved = try space.mremap(va, 3 * page, 8 * page, flags: may)
    #expect(moved != va)
    #expect(space.vma(at: va) == nil)
    #expect(try space.load(moved + page, as: UInt64.self) == 2)
    #expect(try space.load(moved + 7 * page, as: UInt64.self) == 0)
    // A part, to a fixed place, over something.
    let fixed = may | MM.MREMAP_FIXED
    _ = try bench.map(4 * page, at: 0x40_0000)
    #expect(
      try space.mremap(moved + page, page, 2 * page, flags: fixed, newAddr: 0x40_1000) == 0x40_1000)
    #expect(try space.load(0x40_1000, as: UInt64.self) == 2)
    #expect(errno { _ = try space.load(moved + page, as: UInt64.self) } == .EFAULT)
    #expect(try space.load(moved, as: UInt64.self) == 1)
    // Keep the old range, empty.
    let kept = try space.mremap(
      moved, page, page, flags: may | MM.MREMAP_DONTUNMAP, newAddr: 0)
    #expect(try space.load(kept, as: UInt64.self) == 1)
    #expect(try space.load(moved, as: UInt64.self) == 0)
    // A second mapping of shared pages.
    let shared = try bench.map(page, flags: sharedAnonymous)
    try space.store(shared, UInt64(77))
    let alias = try space.mremap(shared, 0, page, flags: may)
    #expect(try space.load(alias, as: UInt64.self) == 77)
    try space.store(alias, UInt64(78))
    #expect(try space.load(shared, as: UInt64.self) == 78)
    #expect(errno { _ = try space.mremap(kept, 0, page, flags: may) } == .EINVAL)
    #expect(errno { _ = try space.mremap(kept, page, 0, flags: may) } == .EINVAL)
    #expect(errno { _ = try space.mremap(kept + 1, page, page, flags: may) } == .EINVAL)
    #expect(errno { _ = try space.mremap(kept, page, page, flags: 8) } == .EINVAL)
    #expect(
      errno { _ = try space.mremap(kept, page, page, flags: MM.MREMAP_FIXED) } == .EINVAL)
    #expect(errno { _ = try space.mremap(0x3000_0000, page, page, flags: may) } == .EFAULT)
    #expect(errno { _ = try space.mremap(0x40_1000, 1 << 20, 1 << 21, flags: may) } == .EFAULT)
    #expect(
      errno { _ = try space.mremap(kept, page, page, flags: fixed, newAddr: kept) } == .EINVAL)
    #expect(
      errno { _ = try space.mremap(kept, page, page, flags: fixed, newAddr: 1 << 38) } == .EINVAL)
    #expect(errno { _ = try space.mremap(kept, page, 1 << 38, flags: may) } == .ENOMEM)
    try space.munmap(0, 1 << 38)
    #expect(bench.frames.used == bench.before + 1)
  }

  @Test func sync() throws {
    let bench = try Bench()
    let va = try bench.map(page)
    #expect(errno { try bench.space.msync(va, page, flags: MM.MS_SYNC) } == nil)
    #expect(errno { try bench.space.msync(va, 2 * page, flags: MM.MS_SYNC) } == .ENOMEM)
    #expect(errno { try bench.space.msync(va, page, flags: 5) } == .EINVAL)
    #expect(errno { try bench.space.msync(va + 1, page, flags: 1) } == .EINVAL)
    try bench.space.mlock(va, 1)
    #expect(errno { try bench.space.msync(va, page, flags: 2) } == .EBUSY)
    #expect(errno { try bench.space.mlock(va, 2 * page) } == .ENOMEM)
    #expect(errno { try bench.space.mlock(va, .max) } == .EINVAL)
    #expect(errno { try bench.space.mlockall(4) } == .EINVAL)
  }

  @Test func specialPages() throws {
    let bench = try Bench()
    let space = bench.space
    let pages = try SpecialPages([1, 2, 3], frames: bench.frames)
    let va = try space.insertSpecial(name: "[vdso]", pages: pages)
    #expect(try space.read(va, 4) == [1, 2, 3, 0])
    #expect(errno { try space.store(va, UInt8(1)) } == .EFAULT)
    #expect(space.physical(va) == pages.pages[0])
    #expect(errno { _ = try space.insertSpecial(name: "[uprobes]", at: va, bytes: [1]) } == .EEXIST)
    let child = try space.fork()
    try child.writeForced(va, [9])
    #expect(try child.read(va, 2) == [9, 2])
    #expect(try space.read(va, 2) == [1, 2])
    #expect(errno { _ = try space.mremap(va, page, 2 * page, flags: 1) } == .EFAULT)
    #expect(space.mapsText().hasSuffix("[vdso]\n"))
  }

  /// Whatever a program asks for, the books stay right and nothing traps.
  @Test(arguments: 0..<8) func randomCalls(seed: UInt64) throws {
    let bench = try Bench(megabytes: 4)
    var random = SplitMix(state: seed)
    let (file, _) = try bench.file(Array(repeating: 3, count: 20000), .both)
    var spaces = [bench.space]
    let edges: [UInt64] = [
      0, 1, 4095, 4096, 1 << 38, (1 << 38) - 4096, .max, .max - 4095, 1 << 63, (1 << 38) - 1,
    ]
    for _ in 0..<1200 {
      let space = spaces[Int(random.next() % UInt64(spaces.count))]
      func address() -> UInt64 {
        random.next() % 16 == 0
          ? edges[Int(random.next() % 10)] : 0x10_0000 + (random.next() % 128) * page
      }
      func length() -> UInt64 {
        random.next() % 16 == 0 ? edges[Int(random.next() % 10)] : (random.next() % 24) * page
      }
      let prot = Int32(random.next() % 8)
      let bits = Int32(truncatingIfNeeded: random.next())
      do {
        switch random.next() % 14 {
        case 0, 1:
          let type = [anonymous, sharedAnonymous, MM.MAP_SHARED, MM.MAP_PRIVATE][Int(bits & 3)]
          let how = [0, MM.MAP_FIXED, MM.MAP_GROWSDOWN, MM.MAP_POPULATE][Int(bits >> 2 & 3)]
          _ = try space.mmap(
            address(), length(), prot: prot, flags: type | how, file: file,
            offset: random.next() % 8 * page)
        case 2: try space.munmap(address(), length())
        case 3: try space.mprotect(address(), length(), prot)
        case 4:
          _ = try space.mremap(
            address(), length(), length(), flags: bits & 7, newAddr: address())
        case 5: try space.madvise(address(), length(), bits & 31)
        case 6: _ = space.brk(address())
        case 7: try space.mlock(address(), length())
        case 8: try space.munlock(address(), length())
        case 9:
          if spaces.count < 5 {
            spaces.append(try space.fork())
          } else {
            spaces.removeLast().releaseAll()
          }
        case 10: try space.write(address() &+ UInt64(bits & 4095), [1, 2, 3, 4, 5, 6, 7, 8])
        case 11: try space.writeForced(address(), [1, 2])
        case 12: _ = space.readPartial(address(), Int(truncatingIfNeeded: length()))
        default:
          _ = space.handleFault(
            address(), Access(rawValue: UInt8(bits & 3)) ?? .fetch, user: true)
        }
      } catch {}
      try consistent(space)
    }
    for space in spaces { space.releaseAll() }
    #expect(bench.frames.used <= bench.before + 5)
  }

  private func consistent(_ space: AddressSpace) throws {
    var bytes: UInt64 = 0
    var data: UInt64 = 0
    var last: UInt64 = 0
    for vma in space.vmas {
      try #require(vma.start >= last && vma.start < vma.end && vma.end <= 1 << 38)
      try #require(vma.start & 4095 == 0 && vma.end & 4095 == 0)
      last = vma.end
      bytes += vma.count
      if vma.isData { data += vma.count }
    }
    try #require(space.mappedBytes == bytes)
    try #require(space.dataBytes == data)
    var resident = 0
    try space.table.forEachRun(0, 1 << 38) { first, va, count in
      for index in 0..<count where first[index] != 0 {
        resident += 1
        if space.vma(at: va + UInt64(index) * 4096) == nil { resident += 1_000_000 }
      }
    }
    try #require(space.residentPages == resident)
  }

  @Test func kernelHalf() throws {
    let bench = try Bench()
    let text = TestELF.Segment(
      flags: 5, address: 0xffff_ffff_8000_0000, bytes: [1, 2, 3], physical: 0x8020_0000)
    let data = TestELF.Segment(
      flags: 6, address: 0xffff_ffff_8000_1000, bytes: [4], memory: 5000, physical: 0x8020_1000)
    let image = try KernelImage(
      TestELF(type: 2, entry: text.address, segments: [text, data]).bytes, isa: bench.isa)
    #expect(image.physicalEnd == 0x8020_3000)
    try image.load(into: bench.ram)
    #expect(bench.ram.load(0x8020_0000, as: UInt32.self) == 0x030201)
    let kernel = try KernelAddressSpace.build(image: image, frames: bench.frames, isa: bench.isa)
    let space = try AddressSpace(
      frames: bench.frames, isa: bench.isa, kernelRoot: kernel.root, asid: 0)
    func walk(_ va: UInt64) -> (entry: PageEntry, level: Int) {
      var table = space.table.root
      for level in [2, 1] {
        let entry = bench.ram.load(
          table + (va >> UInt64(12 + 9 * level) & 511) * 8, as: UInt64.self)
        let what = bench.isa.classify(entry ?? 0, level: level)
        guard case .table(let next) = what else { return (what, level) }
        table = next
      }
      let entry = bench.ram.load(table + (va >> 12 & 511) * 8, as: UInt64.self)
      return (bench.isa.classify(entry ?? 0, level: 0), 0)
    }
    #expect(
      walk(0xffff_ffff_8000_0000)
        == (
          .leaf(
            pa: 0x8020_0000, protection: [.read, .execute, .global], accessed: true, dirty: true), 0
        ))
    #expect(
      walk(0xffff_ffff_8000_2000)
        == (
          .leaf(
            pa: 0x8020_2000, protection: [.read, .write, .global], accessed: true, dirty: true),
          0
        ))
    #expect(walk(0xffff_ffff_8000_3000).entry == .empty)
    // 16 MiB of RAM: pages of 2 MiB.
    #expect(
      walk(0xffff_ffd6_0020_1234)
        == (
          .leaf(
            pa: 0x8020_0000, protection: [.read, .write, .global], accessed: true, dirty: true),
          1
        ))
    #expect(walk(0xffff_ffd6_0100_0000).entry == .empty)
  }
}

/// A small generator of numbers.
struct SplitMix {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
    return value ^ value >> 31
  }
}

/// Writes ELF files.
struct TestELF {
  struct Segment {
    var type: UInt32 = 1
    var flags: UInt32
    var address: UInt64
    var bytes: [UInt8]
    var memory: UInt64?
    var physical: UInt64?
    var alignment: UInt64 = 4096
  }
  var type: UInt16 = 2
  var machine: UInt16 = 243
  var entry: UInt64
  var segments: [Segment]

  var bytes: [UInt8] {
    var file = [UInt8](repeating: 0, count: 64 + 56 * segments.count)
    file.replaceSubrange(0..<7, with: [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
    func put(_ at: Int, _ value: UInt64, _ count: Int) {
      for index in 0..<count {
        file[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
      }
    }
    put(16, UInt64(type), 2)
    put(18, UInt64(machine), 2)
    put(20, 1, 4)
    put(24, entry, 8)
    put(32, 64, 8)
    put(52, 64, 2)
    put(54, 56, 2)
    put(56, UInt64(segments.count), 2)
    put(58, 64, 2)
    for (index, segment) in segments.enumerated() {
      while UInt64(file.count) & 4095 != segment.address & 4095 { file.append(0) }
      let at = 64 + 56 * index
      put(at, UInt64(segment.type), 4)
      put(at + 4, UInt64(segment.flags), 4)
      put(at + 8, UInt64(file.count), 8)
      put(at + 16, segment.address, 8)
      put(at + 24, segment.physical ?? segment.address, 8)
      put(at + 32, UInt64(segment.bytes.count), 8)
      put(at + 40, segment.memory ?? UInt64(segment.bytes.count), 8)
      put(at + 48, segment.alignment, 8)
      file += segment.bytes
    }
    return file
  }
}
