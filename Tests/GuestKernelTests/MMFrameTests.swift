import Engine
import Testing

@testable import GuestKernel

@Suite("MM: frames, blocks and runs") struct MMFrameTests {
  private let base: UInt64 = 0x8000_0000

  private func allocator(megabytes: UInt64) throws -> PageAllocator {
    PageAllocator(ram: try #require(PhysicalMemory(base: base, size: megabytes << 20)), from: base)
  }

  /// The frame behind a page of the bench's address space.
  private func frame(_ bench: Bench, _ va: UInt64) throws -> UInt64 {
    try #require(bench.space.present(try bench.space.table.makeEntry(va).pointee)).pa
  }

  @Test func framesLieAsPagesDo() throws {
    let bench = try Bench()
    let start = try bench.map(2 << 20, at: 0x4000_0000)
    var order = Array(0..<UInt64(512))
    var random = Splitmix(state: 7)
    order.shuffle(using: &random)
    for page in order {
      #expect(bench.space.handleFault(start + page * 4096, .store, user: true) == .handled)
    }
    let first = try frame(bench, start)
    for page in order { #expect(try frame(bench, start + page * 4096) == first + page * 4096) }
    // What was unmapped is kept for the same pages.
    try bench.space.munmap(start, 2 << 20)
    _ = try bench.map(2 << 20, at: start, flags: anonymous | MM.MAP_FIXED)
    #expect(bench.space.handleFault(start + 4096, .store, user: true) == .handled)
    #expect(try frame(bench, start + 4096) == first + 4096)
  }

  @Test func copiesLieAsPagesDo() throws {
    let bench = try Bench()
    let start = try bench.map(256 << 10, at: 0x4000_0000)
    for page in 0..<UInt64(64) {
      #expect(bench.space.handleFault(start + page * 4096, .store, user: true) == .handled)
    }
    let child = try bench.space.fork()
    for page in (0..<UInt64(64)).reversed() {
      #expect(child.handleFault(start + page * 4096, .store, user: true) == .handled)
    }
    func frame(_ page: UInt64) throws -> UInt64 {
      try #require(child.present(try child.table.makeEntry(start + page * 4096).pointee)).pa
    }
    let first = try frame(0)
    for page in 0..<UInt64(64) { #expect(try frame(page) == first + page * 4096) }
    child.releaseAll()
  }

  @Test func scarceFramesAreAnybodys() throws {
    let frames = try allocator(megabytes: 8)
    let owner = frames.newOwner()
    let runs = (0..<4).compactMap { _ in frames.keepRun(for: owner) }
    #expect(runs.count == 4)
    #expect(frames.keepRun(for: owner) == nil)
    #expect(frames.takeKept(runs[3] + 4096, for: owner))
    #expect(!frames.takeKept(runs[3] + 4096, for: owner))
    #expect(!frames.takeKept(runs[2], for: owner + 1))
    #expect(!frames.takeKept(base - 4096, for: owner))
    #expect(!frames.takeKept(base + 8 << 20, for: owner))
    // Everything but the one that was taken can be had, and no more.
    var seen: Set<UInt64> = [runs[3] + 4096]
    for _ in 1..<frames.total { #expect(seen.insert(try frames.allocate()).inserted) }
    #expect(errno { _ = try frames.allocate() } == .ENOMEM)
    #expect(frames.available == 0)
    #expect(!frames.takeKept(runs[0], for: owner))
    // What is given back makes whole blocks again.
    for pa in seen { frames.release(pa) }
    #expect(frames.used == 0)
    #expect((0..<4).compactMap { _ in frames.keepRun(for: owner) }.count == 4)
  }

  @Test func blocksThatDoNotFit() throws {
    let frames = try allocator(megabytes: 2)
    #expect(errno { _ = try frames.allocate(pages: 513) } == .ENOMEM)
    #expect(errno { _ = try frames.allocate(pages: 0) } == .ENOMEM)
    #expect(errno { _ = try frames.allocate(pages: -1) } == .ENOMEM)
    let all = try frames.allocate(pages: 512)
    #expect(errno { _ = try frames.allocate() } == .ENOMEM)
    frames.free(all, pages: 512)
    let odd = try frames.allocate(pages: 5)
    #expect(frames.used == 5)
    #expect((1...507).allSatisfy { _ in (try? frames.allocate()) != nil })
    #expect(errno { _ = try frames.allocate() } == .ENOMEM)
    frames.free(odd, pages: 5)
    #expect(frames.available == 5)
  }

  /// Any calls: nothing is handed out twice, all of it is zeroed, nothing is lost, and the same calls
  /// give the same frames.
  @Test(arguments: 0..<8) func randomCalls(seed: UInt64) throws {
    let frames = try allocator(megabytes: 6)
    let other = try allocator(megabytes: 6)
    var random = Splitmix(state: seed)
    var single: [UInt64] = []
    var blocks: [(UInt64, Int)] = []
    var runs: [(UInt64, UInt32)] = []
    var taken: Set<UInt64> = []
    func hand(_ pa: UInt64, _ pages: Int) {
      for page in 0..<UInt64(pages) {
        let pa = pa + page * 4096
        #expect(taken.insert(pa).inserted, "handed out twice")
        let bytes = UnsafeRawBufferPointer(start: frames.ram.pointer(pa), count: 4096)
        #expect(bytes.allSatisfy { $0 == 0 }, "not zeroed")
        frames.ram.write(pa, [1, 2, 3])
      }
    }
    for _ in 0..<4000 {
      switch random.next() % 10 {
      case 0...3:
        guard let pa = try? frames.allocate() else {
          #expect(frames.available == 0)
          #expect(errno { _ = try other.allocate() } == .ENOMEM)
          continue
        }
        #expect(try other.allocate() == pa)
        hand(pa, 1)
        single.append(pa)
      case 4:
        let pages = Int(random.next() % 20) + 1
        guard let pa = try? frames.allocate(pages: pages) else {
          #expect(errno { _ = try other.allocate(pages: pages) } == .ENOMEM)
          continue
        }
        #expect(try other.allocate(pages: pages) == pa)
        hand(pa, pages)
        blocks.append((pa, pages))
      case 5:
        let owner = frames.newOwner()
        #expect(other.newOwner() == owner)
        let run = frames.keepRun(for: owner)
        #expect(other.keepRun(for: owner) == run)
        if let run { runs.append((run, owner)) }
      case 6 where !runs.isEmpty:
        let (run, owner) = runs[Int(random.next() % UInt64(runs.count))]
        let pa = run + random.next() % 512 * 4096
        let got = frames.takeKept(pa, for: owner)
        #expect(other.takeKept(pa, for: owner) == got)
        if got {
          hand(pa, 1)
          single.append(pa)
        }
      case 7 where !runs.isEmpty:
        let (run, owner) = runs.remove(at: Int(random.next() % UInt64(runs.count)))
        frames.dropRun(run, of: owner)
        other.dropRun(run, of: owner)
      case 8 where !blocks.isEmpty:
        let (pa, pages) = blocks.remove(at: Int(random.next() % UInt64(blocks.count)))
        frames.free(pa, pages: pages)
        other.free(pa, pages: pages)
        for page in 0..<UInt64(pages) { taken.remove(pa + page * 4096) }
      default:
        guard !single.isEmpty else { continue }
        let pa = single.remove(at: Int(random.next() % UInt64(single.count)))
        frames.release(pa)
        other.release(pa)
        taken.remove(pa)
      }
      #expect(frames.used == taken.count)
    }
    for (run, owner) in runs { frames.dropRun(run, of: owner) }
    for (pa, pages) in blocks { frames.free(pa, pages: pages) }
    for pa in single { frames.release(pa) }
    #expect(frames.used == 0)
    #expect((0..<3).compactMap { _ in frames.keepRun(for: 1) }.count == 3)
  }
}
