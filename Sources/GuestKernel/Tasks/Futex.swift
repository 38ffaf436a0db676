import Engine

/// Tasks that wait on futexes, by key, in the order of their coming.
///
/// - SeeAlso: Linux, `kernel/futex/`
struct FutexTable {
  fileprivate var queues: [FutexKey: [FutexWait]] = [:]
}

/// One task's wait on a futex.
final class FutexWait: Archivable {
  private(set) var task: Task
  var key: FutexKey { didSet { object = key.object } }
  /// What the key names, which the key itself does not keep.
  fileprivate private(set) weak var object: AnyObject?
  private(set) var bitset: UInt32
  /// Set when the futex was woken: the wait is over.
  var isWoken = false

  init(task: Task, key: FutexKey, bitset: UInt32) {
    self.task = task
    self.key = key
    self.bitset = bitset
    object = key.object
  }

  package init(placeholderFor a: Archive) {
    task = a.placeholder(Task.self)
    key = FutexKey(object: task, offset: 0)
    bitset = 0
  }

  package func archive(_ a: Archive) {
    a.ref("task", &task)
    var object = self.object
    var offset = key.offset
    a.any("object", &object)
    a.parts("key") { a("offset", &offset) }
    a("bitset", &bitset)
    a("isWoken", &isWoken)
    // Of one whose futex is gone nobody will ask.
    if a.isReading { key = FutexKey(object: object ?? task, offset: offset) }
  }
}

/// `FUTEX_*` operations.
enum FutexOperation {
  static let WAIT: Int32 = 0, WAKE: Int32 = 1, FD: Int32 = 2, REQUEUE: Int32 = 3
  static let CMP_REQUEUE: Int32 = 4, WAKE_OP: Int32 = 5, WAIT_BITSET: Int32 = 9
  static let WAKE_BITSET: Int32 = 10
  static let privateFlag: Int32 = 128, clockRealtime: Int32 = 256
  static let matchAny = UInt32.max
  static let WAITERS: UInt32 = 0x8000_0000
  static let OWNER_DIED: UInt32 = 0x4000_0000
  static let tidMask: UInt32 = 0x3fff_ffff
}

extension Kernel {
  func enqueue(_ wait: FutexWait) { futexes.queues[wait.key, default: []].append(wait) }

  func remove(_ wait: FutexWait) {
    guard var queue = futexes.queues[wait.key] else { return }
    queue.removeAll { $0 === wait }
    futexes.queues[wait.key] = queue.isEmpty ? nil : queue
  }

  /// Wakes up to `count` waiters whose bits match.
  ///
  /// - Returns: how many were woken.
  func wakeFutex(_ key: FutexKey, count: Int, bitset: UInt32 = FutexOperation.matchAny) -> Int {
    guard let queue = futexes.queues[key], count > 0 else { return 0 }
    var kept: [FutexWait] = []
    var woken = 0
    for wait in queue {
      if woken < count, wait.bitset & bitset != 0, wait.task.state != .dead {
        wait.isWoken = true
        wait.task.wake()
        woken += 1
      } else if wait.task.state != .dead {
        kept.append(wait)
      }
    }
    futexes.queues[key] = kept.isEmpty ? nil : kept
    return woken
  }

  /// Wakes waiters at an address, private or shared: what the kernel does on its own account.
  func wakeFutex(_ space: AddressSpace, _ address: UInt64, count: Int) {
    for shared in [false, true] {
      if let key = try? space.futexKey(address, shared: shared),
        wakeFutex(key, count: count) > 0, !shared
      {
        return
      }
    }
  }

  /// Wakes some waiters and moves others to another futex.
  ///
  /// - Returns: how many were woken and moved.
  func requeueFutex(_ from: FutexKey, _ to: FutexKey, wake: Int, move: Int) -> (Int, Int) {
    let woken = wakeFutex(from, count: wake)
    guard from != to, var queue = futexes.queues[from] else {
      return (woken, from == to ? min(futexes.queues[from]?.count ?? 0, max(move, 0)) : 0)
    }
    let moved = Array(queue.prefix(max(move, 0)))
    queue.removeFirst(moved.count)
    futexes.queues[from] = queue.isEmpty ? nil : queue
    for wait in moved { wait.key = to }
    if !moved.isEmpty { futexes.queues[to, default: []].append(contentsOf: moved) }
    return (woken, moved.count)
  }

  // MARK: Robust futexes

  /// Marks the futexes that a task held when it ended.
  ///
  /// - SeeAlso: Linux, `kernel/futex/core.c`, `exit_robust_list`
  func exitRobustList(_ task: Task) {
    let head = task.robustList.head
    guard head != 0, let space = task.space else { return }
    task.robustList = (0, 0)
    guard let next = try? space.load(head, as: UInt64.self),
      let offset = try? space.load(head &+ 8, as: UInt64.self),
      let pending = try? space.load(head &+ 16, as: UInt64.self)
    else { return }
    var entry = next
    var limit = 2048
    while entry & ~1 != head, limit > 0 {
      let following = try? space.load(entry & ~1, as: UInt64.self)
      if entry & ~1 != pending & ~1 {
        guard releaseRobust(task, space, (entry & ~1) &+ offset, isPending: false) else { return }
      }
      guard let following else { return }
      entry = following
      limit -= 1
    }
    if pending & ~1 != 0 {
      _ = releaseRobust(task, space, (pending & ~1) &+ offset, isPending: true)
    }
  }

  private func releaseRobust(
    _ task: Task, _ space: AddressSpace, _ address: UInt64, isPending: Bool
  ) -> Bool {
    guard address & 3 == 0, let value = try? space.load(address, as: UInt32.self) else {
      return false
    }
    if isPending, value == 0 {
      wakeFutex(space, address, count: 1)
      return true
    }
    guard value & FutexOperation.tidMask == UInt32(bitPattern: task.tid) else { return true }
    let died = (value & FutexOperation.WAITERS) | FutexOperation.OWNER_DIED
    guard (try? space.store(address, died)) != nil else { return false }
    if value & FutexOperation.WAITERS != 0 { wakeFutex(space, address, count: 1) }
    return true
  }
}

extension FutexTable: Archived {
  package static func placeholder(_ a: Archive) -> FutexTable { FutexTable() }

  /// The queues, in the order of their first tasks: keys have no order of their own.
  package mutating func archive(_ a: Archive) {
    a.parts("queues") {
      var all = a.isReading ? [] : queues.values.filter { $0.contains { $0.object != nil } }
      all.sort {
        ($0[0].task.tid, $0[0].key.offset) < ($1[0].task.tid, $1[0].key.offset)
      }
      var number = all.count
      a.number(&number)
      if a.isReading { all = Array(repeating: [], count: number) }
      for index in all.indices { a.refs("queue", &all[index]) }
      guard a.isReading else { return }
      queues = [:]
      // Their keys are not known before they are whole.
      let kernel = a.kernel
      a.afterwards {
        for queue in all {
          if let key = queue.first?.key { kernel.futexes.queues[key] = queue }
        }
      }
    }
  }
}
