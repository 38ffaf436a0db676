import Engine

/// To whom a timer happens.
protocol TimerTarget: AnyObject {
  func timerFired(_ timer: Timer, _ kernel: Kernel)
}

/// Something that happens at a moment of guest time, once.
///
/// What happens is its target's affair: a timer is data, which can be archived.
public final class Timer: Archivable {
  /// When, in nanoseconds of guest monotonic time.
  public private(set) var deadline: UInt64
  private(set) var sequence: UInt64
  private weak var target: (any TimerTarget)?
  /// Whether it still will happen.
  public private(set) var isActive = true

  init(deadline: UInt64, sequence: UInt64, target: any TimerTarget) {
    self.deadline = deadline
    self.sequence = sequence
    self.target = target
  }

  package init(placeholderFor a: Archive) { (deadline, sequence) = (0, 0) }

  package func archive(_ a: Archive) {
    a("deadline", &deadline)
    a("sequence", &sequence)
    a("isActive", &isActive)
    var object: AnyObject? = target
    a.any("target", &object)
    guard a.isReading else { return }
    target = object as? any TimerTarget
    if object != nil, target == nil { a.fail("a timer of nobody who knows timers") }
  }

  /// Makes it not happen.
  public func cancel() { isActive = false }

  func fire(_ kernel: Kernel) {
    guard isActive else { return }
    isActive = false
    target?.timerFired(self, kernel)
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

  mutating func add(_ deadline: UInt64, _ target: any TimerTarget) -> Timer {
    sequence &+= 1
    let timer = Timer(deadline: deadline, sequence: sequence, target: target)
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

extension TimerHeap: Archived {
  package static func placeholder(_ a: Archive) -> TimerHeap { TimerHeap() }
  package mutating func archive(_ a: Archive) {
    a.refs("heap", &heap)
    a("sequence", &sequence)
  }
}
