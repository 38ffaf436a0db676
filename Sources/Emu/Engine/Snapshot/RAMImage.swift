#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// The bytes of one page at one time.
///
/// Images share those that did not change.
final class RAMPage {
  static let size = Int(PhysicalMemory.pageSize)
  let bytes: UnsafeMutableRawPointer
  private var known: StateHash?

  init(copying from: UnsafeRawPointer) {
    bytes = .allocate(byteCount: Self.size, alignment: 64)
    bytes.copyMemory(from: from, byteCount: Self.size)
  }

  deinit { bytes.deallocate() }

  var hash: StateHash {
    if let known { return known }
    let hash = StateHash(UnsafeRawBufferPointer(start: bytes, count: Self.size))
    known = hash
    return hash
  }

  static func isZero(_ page: UnsafeRawPointer) -> Bool {
    let words = page.assumingMemoryBound(to: UInt64.self)
    var index = 0
    while index < size / 8 {
      if words[index] | words[index + 1] | words[index + 2] | words[index + 3] != 0 { return false }
      index += 4
    }
    return true
  }
}

/// What RAM held at one time: the pages that were not zero.
///
/// Copies share everything; an image that differs in few pages shares the others with the one that
/// it was made of.
public struct RAMImage {
  /// Pages in a piece: images share pieces in which nothing differs.
  static let pieceSize = 512

  final class Piece {
    var pages: [RAMPage?]
    init(_ pages: [RAMPage?]) { self.pages = pages }
  }

  private(set) var pieces: [Int: Piece] = [:]
  /// How many pages are not zero.
  public private(set) var pageCount = 0

  /// All zero.
  public init() {}

  subscript(page: Int) -> RAMPage? {
    get { pieces[page / Self.pieceSize]?.pages[page % Self.pieceSize] }
    set {
      let key = page / Self.pieceSize
      let place = page % Self.pieceSize
      let before = pieces[key]?.pages[place]
      guard before !== newValue else { return }
      pageCount += (newValue == nil ? 0 : 1) - (before == nil ? 0 : 1)
      // Taken out, so that a piece of nobody else's is changed in place.
      var piece =
        pieces.removeValue(forKey: key) ?? Piece(Array(repeating: nil, count: Self.pieceSize))
      if !isKnownUniquelyReferenced(&piece) { piece = Piece(piece.pages) }
      piece.pages[place] = newValue
      pieces[key] = piece
    }
  }

  /// Calls `body` with each page in which two images differ, and with what `self` has there.
  func forEachDifference(from other: RAMImage, _ body: (Int, RAMPage?) -> Void) {
    for key in Set(pieces.keys).union(other.pieces.keys).sorted() {
      let mine = pieces[key]
      let its = other.pieces[key]
      if mine === its { continue }
      for place in 0..<Self.pieceSize {
        let page = mine?.pages[place]
        if page !== its?.pages[place] { body(key * Self.pieceSize + place, page) }
      }
    }
  }

  /// Calls `body` with the number of each page in which two images differ, ascending, and with what
  /// `self` has there: `nil` where it is zero.
  public func forEachDifference(
    from other: RAMImage, _ body: (UInt32, UnsafeRawBufferPointer?) -> Void
  ) {
    forEachDifference(from: other) { (number: Int, page: RAMPage?) in
      body(
        UInt32(truncatingIfNeeded: number),
        page.map { UnsafeRawBufferPointer(start: $0.bytes, count: RAMPage.size) })
    }
  }

  /// Says what a page holds: `nil` where it is zero, otherwise the bytes of a whole page.
  public mutating func set(_ page: UInt32, _ bytes: UnsafeRawBufferPointer?) {
    guard let bytes, let start = bytes.baseAddress, bytes.count == RAMPage.size,
      !RAMPage.isZero(start)
    else {
      self[Int(page)] = nil
      return
    }
    self[Int(page)] = RAMPage(copying: start)
  }

  func forEachPage(_ body: (Int, RAMPage) -> Void) {
    for (key, piece) in pieces {
      for (place, page) in piece.pages.enumerated() {
        if let page { body(key * Self.pieceSize + place, page) }
      }
    }
  }

  /// A fingerprint of what RAM held.
  public var hash: StateHash {
    var sum = StateHash()
    forEachPage { sum.add($1.hash, number: UInt64($0)) }
    return sum
  }
}

extension PhysicalMemory {
  /// What RAM holds now.
  ///
  /// It costs what was written since the last image was made or restored.
  public func image() -> RAMImage {
    for page in dirtyPages {
      let index = Int(page)
      dirty[index] = 0
      let here = host + index * RAMPage.size
      let before = latest[index]
      if let before, memcmp(before.bytes, here, RAMPage.size) == 0 { continue }
      if RAMPage.isZero(here) {
        if before != nil { latest[index] = nil }
      } else {
        latest[index] = RAMPage(copying: here)
      }
    }
    dirtyPages.removeAll(keepingCapacity: true)
    for attached in harts { attached.hart.forgetDirty() }
    return latest
  }

  /// Makes RAM hold what it held.
  ///
  /// It costs what was written since the last image was made or restored, and what that one differs in.
  /// Translated code of bytes that do not change is kept; what harts know of page tables they must
  /// forget themselves.
  public func restore(_ image: RAMImage) {
    for page in dirtyPages {
      dirty[Int(page)] = 0
      put(image[Int(page)], at: Int(page))
    }
    dirtyPages.removeAll(keepingCapacity: true)
    image.forEachDifference(from: latest) { put($1, at: $0) }
    latest = image
    for attached in harts { attached.hart.forgetDirty() }
  }

  /// A fingerprint of what RAM holds now, whatever pages were written with what they held before.
  public func hash() -> StateHash {
    var sum = StateHash()
    latest.forEachPage { if dirty[$0] == 0 { sum.add($1.hash, number: UInt64($0)) } }
    for page in dirtyPages {
      let here = host + Int(page) * RAMPage.size
      if RAMPage.isZero(here) { continue }
      sum.add(
        StateHash(UnsafeRawBufferPointer(start: here, count: RAMPage.size)), number: UInt64(page))
    }
    return sum
  }

  private func put(_ page: RAMPage?, at index: Int) {
    guard UInt64(index) < size / Self.pageSize else { return }
    let here = host + index * RAMPage.size
    guard flags[index] != 0 else {
      if let page {
        here.copyMemory(from: page.bytes, byteCount: RAMPage.size)
      } else {
        memset(here, 0, RAMPage.size)
      }
      return
    }
    // Somebody depends on its bytes: only those that change are written.
    let line = 64
    for offset in stride(from: 0, to: RAMPage.size, by: line) {
      let to = here + offset
      if let page {
        if memcmp(to, page.bytes + offset, line) == 0 { continue }
        to.copyMemory(from: page.bytes + offset, byteCount: line)
      } else {
        let words = to.assumingMemoryBound(to: UInt64.self)
        if (0..<line / 8).allSatisfy({ words[$0] == 0 }) { continue }
        memset(to, 0, line)
      }
      let pa = base &+ UInt64(index * RAMPage.size + offset)
      if flags[index] != 0 { flaggedWrite(pa, UInt64(line), isRestored: true) }
    }
  }
}
