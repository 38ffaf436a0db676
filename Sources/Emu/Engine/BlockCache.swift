/// A translated block.
///
/// It lives in its cache's arena, its micro-ops and offsets right behind it.
struct Block {
  /// Virtual address of the first instruction, and of the one behind the last.
  var pc: UInt64
  var end: UInt64
  /// The micro-ops; the last one is a terminator.
  var ops: UnsafeMutablePointer<MicroOp>
  var opCount: Int
  /// How many micro-ops behind them are not run: they say condition codes that the others did not
  /// store (``FlagDeferral``).
  var deferred = 0
  /// How many behind those are not run: they say how instructions go on (``InsnRest``).
  var continued = 0
  /// The instructions.
  var count: Int64
  /// Where the terminator's two ways lead, once known: taken, fall-through.
  var taken: UnsafeMutablePointer<Block>?
  var fall: UnsafeMutablePointer<Block>?
  /// Host code, if there is any; its place in the code cache; and of each way the place of the jump
  /// and of what it leads to while the way is not known.
  var code: UInt = 0
  var entry: UInt32 = 0
  var takenSite: UInt32 = 0
  var takenStub: UInt32 = 0
  var fallSite: UInt32 = 0
  var fallStub: UInt32 = 0
  /// How often it ran in the interpreter for want of host code; negative: it never gets any.
  var heat: Int32 = 0
  /// How its code finds the pages of its accesses, of the unit's first block.
  var sites: UnsafeMutablePointer<SiteState>?
  /// Whether accesses share a look into the TLB; how often that failed; whether it never should again.
  var grouped = false
  var strayed: UInt16 = 0
  var ungrouped = false
  /// How many loops are known to be around it, and how often it was compiled as part of one.
  var depth: UInt8 = 0
  var rebuilt: UInt8 = 0
  /// Of blocks that were compiled as one: the first of them, and the next.
  var leader: UnsafeMutablePointer<Block>?
  var nextInUnit: UnsafeMutablePointer<Block>?
  /// Where its code begins inside the unit; zero while it is not made.
  var head: UInt32 = 0

  /// Byte offset of every instruction from `pc`, and of the end.
  var offsets: UnsafeMutablePointer<UInt16>
  /// Physical address of the first instruction; of the second page where the block touches one.
  var pa: UInt64
  var secondPA: UInt64
  /// The translation flags that it was made under.
  var flags: UInt64
  var valid = true
  /// Its number in a ``BlockLog``; zero: none.
  var logID: UInt32 = 0

  /// Chains: of the hash bucket, of the two pages' block lists, of the blocks that lead here.
  var nextInBucket: UnsafeMutablePointer<Block>?
  var nextInPage: UnsafeMutablePointer<Block>?
  var nextInSecondPage: UnsafeMutablePointer<Block>?
  /// Predecessors: the first, and for each of this block's ways the next predecessor of its target.
  var incoming = Link.none
  var takenNext = Link.none
  var fallNext = Link.none

  /// No second page.
  static let onePage: UInt64 = .max

  /// A block's way out, as an address with the way in bit 0 (0: taken).
  ///
  /// Zero: none.
  struct Link {
    var raw: UInt
    static let none = Link(raw: 0)
    init(raw: UInt) { self.raw = raw }
    init(_ block: UnsafeMutablePointer<Block>, fall: Bool) {
      raw = UInt(bitPattern: block) | (fall ? 1 : 0)
    }
    var isFall: Bool { raw & 1 != 0 }
    var block: UnsafeMutablePointer<Block>? {
      UnsafeMutablePointer(bitPattern: raw & ~1)
    }
  }
}

/// Translated blocks by physical address, of one hart or of several that share a coherent
/// instruction cache.
///
/// A dropped block's memory is not reused before ``clear()``, which only runs between blocks: so a
/// block that drops itself can finish.
public final class BlockCache {
  /// Blocks translated since the start.
  public private(set) var translated = 0
  /// Blocks dropped because their bytes changed.
  public private(set) var dropped = 0
  /// How often everything was dropped at once.
  @exclusivity(unchecked) public private(set) var clears = 0

  /// Bytes of arena after which everything is dropped at the next safe point.
  static let limit = 24 << 20
  private static let bucketBits = 14
  private static let chunkBytes = 1 << 18

  private let buckets: UnsafeMutablePointer<UnsafeMutablePointer<Block>?>
  /// Per page of RAM: the first block, and a bit for every 64 bytes that hold translated code.
  private var pageFirst: UnsafeMutablePointer<UnsafeMutablePointer<Block>?>
  private var pageGranules: UnsafeMutablePointer<UInt64>
  private var touchedPages: [Int] = []
  private let ram: PhysicalMemory
  private let pages: Int
  private var chunks: [UnsafeMutableRawPointer] = []
  #if arch(x86_64) && os(Linux)
  /// Host code of the blocks, made when the first one is compiled.
  @exclusivity(unchecked) var code: CodeCache?
  #endif
  @exclusivity(unchecked) private var chunkUsed = 0
  @exclusivity(unchecked) private var chunkIndex = 0

  init(ram: PhysicalMemory) {
    self.ram = ram
    pages = Int(ram.size / PhysicalMemory.pageSize)
    buckets = .allocate(capacity: 1 << Self.bucketBits)
    buckets.initialize(repeating: nil, count: 1 << Self.bucketBits)
    guard let first = reservePages(pages * 8), let granules = reservePages(pages * 8) else {
      preconditionFailure("the host refuses \(pages * 16) bytes of address space")
    }
    pageFirst = first.assumingMemoryBound(to: UnsafeMutablePointer<Block>?.self)
    pageGranules = granules.assumingMemoryBound(to: UInt64.self)
  }

  deinit {
    buckets.deallocate()
    releasePages(pageFirst, pages * 8)
    releasePages(pageGranules, pages * 8)
    for chunk in chunks { chunk.deallocate() }
  }

  /// Whether the arena has outgrown its limit.
  var isFull: Bool {
    chunkIndex * Self.chunkBytes + chunkUsed > Self.limit || codeIsFull
  }

  /// Whether no block of the page remains.
  func isEmpty(page: Int) -> Bool { pageGranules[page] == 0 }

  @inline(__always)
  private func bucket(_ pa: UInt64, _ pc: UInt64) -> Int {
    let mixed = (pa &>> 1 ^ (pc &>> 12)) &* 0x9E37_79B9_7F4A_7C15
    return Int(truncatingIfNeeded: mixed &>> UInt64(64 - Self.bucketBits))
  }

  /// The block at `pa` that was translated for `pc` under `flags`.
  func find(pa: UInt64, pc: UInt64, flags: UInt64) -> UnsafeMutablePointer<Block>? {
    var next = buckets[bucket(pa, pc)]
    while let block = next {
      if block.pointee.pa == pa, block.pointee.pc == pc, block.pointee.flags == flags {
        return block
      }
      next = block.pointee.nextInBucket
    }
    return nil
  }

  /// Copies the builder's block into the arena.
  ///
  /// An unlisted block is found by nobody: it serves one run to an exact count.
  func insert(_ builder: BlockBuilder, flags: UInt64, listed: Bool) -> UnsafeMutablePointer<Block> {
    let opBytes = builder.ops.count * MemoryLayout<MicroOp>.stride
    let offsetBytes = builder.offsets.count * MemoryLayout<UInt16>.stride
    let header = (MemoryLayout<Block>.stride + 15) & ~15
    let memory = allocate((header + opBytes + offsetBytes + 15) & ~15)
    let block = memory.bindMemory(to: Block.self, capacity: 1)
    let ops = (memory + header).bindMemory(to: MicroOp.self, capacity: builder.ops.count)
    let offsets = (memory + header + opBytes).bindMemory(
      to: UInt16.self, capacity: builder.offsets.count)
    builder.ops.withUnsafeBufferPointer {
      if let from = $0.baseAddress { ops.initialize(from: from, count: $0.count) }
    }
    builder.offsets.withUnsafeBufferPointer {
      if let from = $0.baseAddress { offsets.initialize(from: from, count: $0.count) }
    }
    block.initialize(
      to: Block(
        pc: builder.start, end: builder.pc, ops: ops,
        opCount: builder.ops.count - builder.deferred - builder.continued,
        deferred: builder.deferred, continued: builder.continued,
        count: Int64(builder.count), offsets: offsets, pa: builder.pa,
        secondPA: builder.secondPA ?? Block.onePage, flags: flags))
    translated += 1
    guard listed else { return block }
    let index = bucket(builder.pa, builder.start)
    block.pointee.nextInBucket = buckets[index]
    buckets[index] = block
    return block
  }

  /// Lists a block by the pages that it covers, so that stores to them find it.
  ///
  /// - Returns: the pages that hold code now and did not before.
  func cover(_ block: UnsafeMutablePointer<Block>) {
    let firstPage = Int((block.pointee.pa &- ram.base) / PhysicalMemory.pageSize)
    let bytes = block.pointee.end &- block.pointee.pc
    let crossing = block.pointee.secondPA != Block.onePage
    let inFirst = crossing ? min(bytes, 4096 &- (block.pointee.pa & 4095)) : bytes
    mark(firstPage, from: block.pointee.pa & 4095, count: inFirst)
    block.pointee.nextInPage = pageFirst[firstPage]
    pageFirst[firstPage] = block
    guard crossing else { return }
    let secondPage = Int((block.pointee.secondPA &- ram.base) / PhysicalMemory.pageSize)
    mark(secondPage, from: block.pointee.secondPA & 4095, count: bytes &- inFirst)
    guard secondPage != firstPage else { return }
    block.pointee.nextInSecondPage = pageFirst[secondPage]
    pageFirst[secondPage] = block
  }

  private func mark(_ page: Int, from offset: UInt64, count: UInt64) {
    if pageGranules[page] == 0 { touchedPages.append(page) }
    var granule = offset &>> 6
    let last = (offset &+ max(count, 1) &- 1) &>> 6
    while granule <= min(last, 63) {
      pageGranules[page] |= 1 &<< granule
      granule &+= 1
    }
  }

  /// Drops every block that overlaps the written bytes, which lie within one page.
  ///
  /// - Returns: whether one was dropped.
  func invalidate(_ pa: UInt64, _ count: UInt64, _ harts: [AttachedHart]) -> Bool {
    let page = Int((pa &- ram.base) / PhysicalMemory.pageSize)
    let low = (pa & 4095) &>> 6
    let high = ((pa & 4095) &+ count &- 1) &>> 6
    let span: UInt64 = high &- low == 63 ? .max : ((1 &<< (high &- low &+ 1)) &- 1) &<< low
    guard pageGranules[page] & span != 0 else { return false }
    var any = false
    var kept: UnsafeMutablePointer<Block>?
    var granules: UInt64 = 0
    var next = pageFirst[page]
    while let block = next {
      let isFirstPage = Int((block.pointee.pa &- ram.base) / PhysicalMemory.pageSize) == page
      next = isFirstPage ? block.pointee.nextInPage : block.pointee.nextInSecondPage
      guard block.pointee.valid else { continue }
      // A block that reaches into a second page covers the start of that; both can be one page.
      let inSecond =
        block.pointee.secondPA != Block.onePage
        && Int((block.pointee.secondPA &- ram.base) / PhysicalMemory.pageSize) == page
      let first =
        isFirstPage
        ? block.pointee
          .pa..<min(
            block.pointee.pa &+ (block.pointee.end &- block.pointee.pc),
            (block.pointee.pa & ~4095) &+ 4096) : 0..<0
      let second =
        inSecond
        ? block.pointee.secondPA..<block.pointee.secondPA &+ (block.pointee.end & 4095) : 0..<0
      let written = pa..<pa &+ count
      if first.overlaps(written) || second.overlaps(written) {
        drop(block, harts)
        any = true
        continue
      }
      if isFirstPage {
        block.pointee.nextInPage = kept
      } else {
        block.pointee.nextInSecondPage = kept
      }
      kept = block
      for range in [first, second] where !range.isEmpty {
        var granule = (range.lowerBound & 4095) &>> 6
        let lastGranule = ((range.upperBound &- 1) & 4095) &>> 6
        while granule <= lastGranule {
          granules |= 1 &<< granule
          granule &+= 1
        }
      }
    }
    pageFirst[page] = kept
    pageGranules[page] = granules
    return any
  }

  private func drop(_ block: UnsafeMutablePointer<Block>, _ harts: [AttachedHart]) {
    block.pointee.valid = false
    dropped += 1
    let index = bucket(block.pointee.pa, block.pointee.pc)
    if buckets[index] == block {
      buckets[index] = block.pointee.nextInBucket
    } else {
      var before = buckets[index]
      while let here = before {
        if here.pointee.nextInBucket == block {
          here.pointee.nextInBucket = block.pointee.nextInBucket
          break
        }
        before = here.pointee.nextInBucket
      }
    }
    var link = block.pointee.incoming
    while let from = link.block {
      if link.isFall {
        if from.pointee.fall == block {
          from.pointee.fall = nil
          unpatch(from, fall: true)
        }
        link = from.pointee.fallNext
      } else {
        if from.pointee.taken == block {
          from.pointee.taken = nil
          unpatch(from, fall: false)
        }
        link = from.pointee.takenNext
      }
    }
    block.pointee.incoming = .none
    for attached in harts { attached.hart.forgetJump(to: block) }
    if block.pointee.leader != nil { breakUp(unitOf: block, harts) }
  }

  /// Makes one of a block's ways lead straight to `target`.
  func chain(
    _ block: UnsafeMutablePointer<Block>, fall: Bool, to target: UnsafeMutablePointer<Block>
  ) {
    guard block.pointee.valid, target.pointee.valid else { return }
    if fall {
      block.pointee.fall = target
      block.pointee.fallNext = target.pointee.incoming
    } else {
      block.pointee.taken = target
      block.pointee.takenNext = target.pointee.incoming
    }
    target.pointee.incoming = Block.Link(block, fall: fall)
  }

  /// Drops everything and reuses the memory.
  ///
  /// Only between blocks.
  func clear() {
    buckets.update(repeating: nil, count: 1 << Self.bucketBits)
    for page in touchedPages {
      pageFirst[page] = nil
      pageGranules[page] = 0
    }
    touchedPages.removeAll(keepingCapacity: true)
    chunkIndex = 0
    chunkUsed = 0
    clears += 1
    clearCode()
  }

  #if arch(x86_64) && os(Linux)
  private var codeIsFull: Bool { code?.isFull ?? false }

  private func clearCode() { code?.clear() }

  /// A block of a unit is gone: nobody enters the code of the others any more, which goes on to it.
  private func breakUp(unitOf dropped: UnsafeMutablePointer<Block>, _ harts: [AttachedHart]) {
    var next = dropped.pointee.leader
    while let block = next {
      next = block.pointee.nextInUnit
      block.pointee.leader = nil
      block.pointee.nextInUnit = nil
      guard block != dropped else { continue }
      var link = block.pointee.incoming
      while let from = link.block {
        unpatch(from, fall: link.isFall)
        link = link.isFall ? from.pointee.fallNext : from.pointee.takenNext
      }
      for attached in harts { attached.hart.forgetJump(to: block) }
      block.pointee.code = 0
      block.pointee.takenSite = 0
      block.pointee.fallSite = 0
      block.pointee.heat = 0
    }
  }

  /// Makes a way of compiled code ask again where it leads.
  private func unpatch(_ block: UnsafeMutablePointer<Block>, fall: Bool) {
    guard let code, block.pointee.code != 0 else { return }
    let site = fall ? block.pointee.fallSite : block.pointee.takenSite
    if site != 0 {
      code.patch(site, to: fall ? block.pointee.fallStub : block.pointee.takenStub)
    }
  }
  #else
  private func breakUp(unitOf dropped: UnsafeMutablePointer<Block>, _ harts: [AttachedHart]) {}

  private var codeIsFull: Bool { false }

  private func clearCode() {}

  private func unpatch(_ block: UnsafeMutablePointer<Block>, fall: Bool) {}
  #endif

  /// Memory until everything is dropped.
  func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
    if chunks.isEmpty || chunkUsed + bytes > Self.chunkBytes {
      if !chunks.isEmpty { chunkIndex += 1 }
      if chunkIndex == chunks.count {
        chunks.append(.allocate(byteCount: Self.chunkBytes, alignment: 16))
      }
      chunkUsed = 0
    }
    let memory = chunks[chunkIndex] + chunkUsed
    chunkUsed += bytes
    return memory
  }
}
