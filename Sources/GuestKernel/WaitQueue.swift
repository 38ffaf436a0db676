import Engine

/// Who waits on a ``WaitQueue``: a task.
public protocol Waiter: AnyObject {
  /// What it waited for may have happened. Spurious calls are allowed: a waiter looks again.
  func wake()
}

/// Waiters for something to happen, in the order of their coming.
///
/// A task that would block registers here and gives up the hart; it is woken, and runs the same
/// system call again from its saved progress. So a queue promises nothing but that somebody looks.
public final class WaitQueue: Archivable {
  @exclusivity(unchecked) private var waiters: [any Waiter] = []

  /// An empty queue.
  public init() {}

  package init(placeholderFor a: Archive) {}

  package func archive(_ a: Archive) {
    // Tests wait with others.
    var tasks = waiters.compactMap { $0 as? Task }
    if tasks.count != waiters.count { a.fail("somebody waits who is no task") }
    a.refs("waiters", &tasks)
    if a.isReading { waiters = tasks }
  }

  /// Whether nobody waits.
  public var isEmpty: Bool { waiters.isEmpty }

  /// Adds a waiter at the end, once.
  public func add(_ waiter: any Waiter) {
    if !waiters.contains(where: { $0 === waiter }) { waiters.append(waiter) }
  }

  /// Removes a waiter that no longer waits.
  public func remove(_ waiter: any Waiter) { waiters.removeAll { $0 === waiter } }

  /// Wakes everybody and empties the queue.
  public func wakeAll() {
    guard !waiters.isEmpty else { return }
    let woken = waiters
    waiters.removeAll(keepingCapacity: true)
    for waiter in woken { waiter.wake() }
  }

  /// Wakes the first `count` waiters.
  ///
  /// - Returns: how many were woken.
  @discardableResult
  public func wake(_ count: Int) -> Int {
    let woken = waiters.prefix(max(count, 0))
    waiters.removeFirst(woken.count)
    for waiter in woken { waiter.wake() }
    return woken.count
  }
}
