/// Something that happens at a moment of guest time, once.
public final class Timer {
  /// When, in nanoseconds of guest monotonic time.
  public let deadline: UInt64
  let sequence: UInt64
  let action: () -> Void
  /// Whether it still will happen.
  public private(set) var isActive = true

  init(deadline: UInt64, sequence: UInt64, action: @escaping () -> Void) {
    self.deadline = deadline
    self.sequence = sequence
    self.action = action
  }

  /// Makes it not happen.
  public func cancel() { isActive = false }

  func fire() {
    guard isActive else { return }
    isActive = false
    action()
  }

  func precedes(_ other: Timer) -> Bool {
    deadline != other.deadline ? deadline < other.deadline : sequence < other.sequence
  }
}

/// Timers in the order of their deadlines (a binary heap); equal deadlines fire in the order of
/// their setting.
struct TimerHeap {
  private var heap: [Timer] = []
  private var sequence: UInt64 = 0

  /// The earliest deadline still wanted.
  var next: UInt64? {
    mutating get {
      while let top = heap.first, !top.isActive { removeTop() }
      return heap.first?.deadline
    }
  }

  mutating func add(_ deadline: UInt64, _ action: @escaping () -> Void) -> Timer {
    sequence &+= 1
    let timer = Timer(deadline: deadline, sequence: sequence, action: action)
    heap.append(timer)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].precedes(heap[parent]) else { break }
      heap.swapAt(child, parent)
      child = parent
    }
    return timer
  }

  /// Takes the first timer whose deadline is not after `now`.
  mutating func expired(_ now: UInt64) -> Timer? {
    guard let deadline = next, deadline <= now else { return nil }
    return removeTop()
  }

  @discardableResult
  private mutating func removeTop() -> Timer? {
    guard let top = heap.first, let last = heap.popLast() else { return nil }
    guard !heap.isEmpty else { return top }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if heap[child].precedes(heap[least]) { least = child }
      }
      guard least != parent else { return top }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
