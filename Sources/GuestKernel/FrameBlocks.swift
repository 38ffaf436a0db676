import Engine

/// Free frames as blocks of 2^order adjoining ones, each aligned to its size: the buddy system.
///
/// Frames are named by their index. What is free, and which block is handed out next, follows from
/// the calls alone.
///
/// - SeeAlso: Linux, `mm/page_alloc.c`, `__free_one_page`, `expand`
struct FrameBlocks {
  /// The order of the largest blocks: 512 frames, as many as one entry of a table of the level above
  /// maps.
  static let largest = 9

  /// The first frames of the free blocks, by order; the last is handed out next.
  private(set) var lists = [[UInt32]](repeating: [], count: largest + 1)
  /// Where in its list the free block is that a frame begins.
  private var places: [UInt32] = []
  /// The order of the free block that a frame begins; `none` for others.
  private var orders: [UInt8] = []

  private static let none: UInt8 = 0xff

  /// Frames that it knows, free or not.
  var count: Int { orders.count }

  /// Adds free frames behind those that it knows.
  mutating func grow(by more: Int) {
    let first = count
    places.append(contentsOf: repeatElement(0, count: more))
    orders.append(contentsOf: repeatElement(Self.none, count: more))
    free(first..<first + more)
  }

  /// Takes a block of 2^`order` frames; `nil` where there is none.
  mutating func take(order: Int) -> Int? {
    guard let have = (order...Self.largest).first(where: { !lists[$0].isEmpty }),
      let block = lists[have].popLast()
    else { return nil }
    orders[Int(block)] = Self.none
    for half in (order..<have).reversed() { add(Int(block) + 1 << half, half) }
    return Int(block)
  }

  /// Gives back a block of 2^`order` frames, which is aligned to its size.
  mutating func free(_ index: Int, order: Int) {
    var (index, order) = (index, order)
    while order < Self.largest {
      let buddy = index ^ 1 << order
      guard buddy < count, Int(orders[buddy]) == order else { break }
      remove(buddy)
      index &= ~(1 << order)
      order += 1
    }
    add(index, order)
  }

  /// Gives back adjoining frames.
  mutating func free(_ range: Range<Int>) {
    var at = range.lowerBound
    while at < range.upperBound {
      let fits = (range.upperBound - at).leadingZeroBitCount
      let order = min(Self.largest, at.trailingZeroBitCount, Int.bitWidth - 1 - fits)
      free(at, order: order)
      at += 1 << order
    }
  }

  private mutating func add(_ index: Int, _ order: Int) {
    places[index] = UInt32(lists[order].count)
    orders[index] = UInt8(order)
    lists[order].append(UInt32(index))
  }

  private mutating func remove(_ index: Int) {
    let order = Int(orders[index])
    let place = Int(places[index])
    let last = lists[order].removeLast()
    if place < lists[order].count {
      lists[order][place] = last
      places[Int(last)] = UInt32(place)
    }
    orders[index] = Self.none
  }

  /// Blocks as an archive holds them; `nil` where they overlap or lie outside.
  init?(lists: [[UInt32]], count: Int) {
    guard lists.count == Self.largest + 1 else { return nil }
    places = [UInt32](repeating: 0, count: count)
    orders = [UInt8](repeating: Self.none, count: count)
    var covered = [Bool](repeating: false, count: count)
    for (order, blocks) in lists.enumerated() {
      for block in blocks.map(Int.init) {
        guard block & (1 << order - 1) == 0, block + 1 << order <= count,
          !covered[block..<block + 1 << order].contains(true)
        else { return nil }
        for frame in block..<block + 1 << order { covered[frame] = true }
        add(block, order)
      }
    }
  }

  /// No frames.
  init() {}

  /// Whether a frame is in one of the free blocks, for every frame.
  var isFree: [Bool] {
    var result = [Bool](repeating: false, count: count)
    for (order, blocks) in lists.enumerated() {
      for block in blocks { for frame in 0..<1 << order { result[Int(block) + frame] = true } }
    }
    return result
  }
}
