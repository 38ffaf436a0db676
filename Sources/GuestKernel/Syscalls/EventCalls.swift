import Engine

extension SyscallTable {
  /// Descriptors for events.
  static let eventRows: [SyscallRow] = [
    SyscallRow("eventfd2") { call in
      let flags = OpenFlags(rawValue: call.int(1))
      guard flags.subtracting([.closeOnExec, .nonBlock, OpenFlags(rawValue: 1)]).isEmpty else {
        throw Errno.EINVAL
      }
      let file = try call.vfs.makeEvent(
        call.uint(0), semaphore: flags.rawValue & 1 != 0, flags.intersection(.nonBlock))
      return Int64(
        try call.files.allocate(file, closeOnExec: flags.contains(.closeOnExec)))
    },
    SyscallRow("epoll_create1") { call in
      guard call.int(0) & ~OpenFlags.closeOnExec.rawValue == 0 else { throw Errno.EINVAL }
      let inode = EpollInode(call.vfs.root.inode.fileSystem, FileMode(rawValue: 0o600))
      let file = try OpenFile(
        Dentry(inode, name: "anon_inode:[eventpoll]", parent: nil), .readWrite)
      return Int64(try call.files.allocate(file, closeOnExec: call.int(0) != 0))
    },
    SyscallRow("epoll_ctl", partial: "EPOLLET reports as often as it is asked", EpollCalls.control),
    SyscallRow("epoll_pwait", partial: "EPOLLET reports as often as it is asked") { call in
      let mask = try SignalCalls.optionalMask(call, 4, size: call[5])
      let timeout = call.int(3)
      let deadline = call.deadline {
        timeout < 0 ? nil : call.after(UInt64(timeout) &* 1_000_000)
      }
      return try EpollCalls.wait(call, deadline: deadline, mask: mask)
    },
    SyscallRow("epoll_pwait2", partial: "EPOLLET reports as often as it is asked") { call in
      let mask = try SignalCalls.optionalMask(call, 4, size: call[5])
      let deadline = try PollCalls.deadline(call, 3)
      return try EpollCalls.wait(call, deadline: deadline, mask: mask)
    },
    SyscallRow("timerfd_create") { call in
      let clock = call.int(0)
      guard [0, 1, 7, 8, 9].contains(clock) else { throw Errno.EINVAL }
      let flags = OpenFlags(rawValue: call.int(1))
      guard flags.subtracting([.closeOnExec, .nonBlock]).isEmpty else { throw Errno.EINVAL }
      let inode = TimerInode(
        call.vfs.root.inode.fileSystem, call.kernel, isRealtime: clock == 0 || clock == 8)
      let file = try OpenFile(
        Dentry(inode, name: "anon_inode:[timerfd]", parent: nil),
        OpenFlags.readWrite.union(flags.intersection(.nonBlock)))
      return Int64(
        try call.files.allocate(file, closeOnExec: flags.contains(.closeOnExec)))
    },
    SyscallRow("timerfd_settime", partial: "no TFD_TIMER_CANCEL_ON_SET") { call in
      guard call.int(1) & ~3 == 0 else { throw Errno.EINVAL }
      let bytes = try call.read(call[2], 32)
      let interval = try ABI.timespec(bytes, 0)
      let value = try ABI.timespec(bytes, 16)
      guard let timer = try call.file(0).inode as? TimerInode else { throw Errno.EINVAL }
      let old = timer.setting
      var deadline: UInt64 = 0
      if value != 0 {
        if call.int(1) & 1 != 0 {
          deadline = max(
            1, timer.isRealtime ? call.kernel.monotonic(realtime: value) : value)
        } else {
          deadline = call.after(value)
        }
      }
      timer.set(deadline, interval: interval)
      if call[3] != 0 { try call.write(call[3], old) }
      return 0
    },
    SyscallRow("timerfd_gettime") { call in
      guard let timer = try call.file(0).inode as? TimerInode else { throw Errno.EINVAL }
      try call.write(call[1], timer.setting)
      return 0
    },
  ]
}

/// The set of descriptors behind an epoll descriptor.
///
/// - SeeAlso: epoll(7)
final class EpollInode: Inode {
  /// One descriptor that is watched.
  struct Item {
    var fd: Int32
    weak var file: OpenFile?
    var events: UInt32
    var data: UInt64
  }
  private(set) var items: [Item] = []

  static let EPOLLONESHOT: UInt32 = 1 << 30
  static let flags: UInt32 = 0xf000_0000

  init(_ fileSystem: FileSystem, _ mode: FileMode) { super.init(fileSystem, mode) }

  package required init(placeholderFor a: Archive) { super.init(placeholderFor: a) }

  package override func archive(_ a: Archive) {
    super.archive(a)
    // One whose file is gone is as good as gone.
    if !a.isReading { items.removeAll { $0.file == nil } }
    a("items", &items)
    a.transient(["isPolling"])
  }

  private func index(_ fd: Int32, _ file: OpenFile) -> Int? {
    items.removeAll { $0.file == nil }
    return items.firstIndex { $0.fd == fd && $0.file === file }
  }

  func add(_ fd: Int32, _ file: OpenFile, _ events: UInt32, _ data: UInt64) throws {
    guard index(fd, file) == nil else { throw Errno.EEXIST }
    items.append(Item(fd: fd, file: file, events: events, data: data))
  }

  func modify(_ fd: Int32, _ file: OpenFile, _ events: UInt32, _ data: UInt64) throws {
    guard let index = index(fd, file) else { throw Errno.ENOENT }
    items[index].events = events
    items[index].data = data
  }

  func delete(_ fd: Int32, _ file: OpenFile) throws {
    guard let index = index(fd, file) else { throw Errno.ENOENT }
    items.remove(at: index)
  }

  /// What is ready, at most `limit` of it; one-shot items are disarmed, and those reported go to
  /// the end, so that everybody has a turn.
  func collect(_ limit: Int) -> [(events: UInt32, data: UInt64)] {
    var result: [(events: UInt32, data: UInt64)] = []
    var kept: [Item] = []
    var reported: [Item] = []
    for var item in items {
      guard let file = item.file else { continue }
      let ready = Self.ready(item, file)
      if ready != 0, result.count < limit {
        result.append((ready, item.data))
        if item.events & Self.EPOLLONESHOT != 0 { item.events &= Self.flags }
        reported.append(item)
      } else {
        kept.append(item)
      }
    }
    items = kept + reported
    return result
  }

  private static func ready(_ item: Item, _ file: OpenFile) -> UInt32 {
    let wanted = item.events & ~flags
    guard wanted != 0 else { return 0 }
    return file.poll().rawValue & (wanted | 0x18)
  }

  /// Where to wait for any of them.
  ///
  /// Sets in sets are looked into five deep, as Linux allows.
  func queues(depth: Int = 0) -> [WaitQueue] {
    guard depth < 5 else { return [] }
    return items.compactMap(\.file).flatMap { file in
      (file.inode as? EpollInode)?.queues(depth: depth + 1) ?? PollCalls.waitQueues(file)
    }
  }

  private var isPolling = false

  override func poll(_ file: OpenFile) -> PollEvents {
    guard !isPolling else { return [] }
    isPolling = true
    defer { isPolling = false }
    let isReady = items.contains { item in
      item.file.map { Self.ready(item, $0) != 0 } ?? false
    }
    return isReady ? [.input, .readNormal] : []
  }

  /// Whether `inode` is in it, at any depth.
  func contains(_ inode: Inode, depth: Int = 0) -> Bool {
    guard depth < 5 else { return true }
    return items.contains { item in
      guard let file = item.file else { return false }
      if file.inode === inode { return true }
      return (file.inode as? EpollInode)?.contains(inode, depth: depth + 1) ?? false
    }
  }
}

/// Handlers of epoll.
enum EpollCalls {
  private static func set(_ call: SyscallCall) throws -> EpollInode {
    guard let set = try call.file(0).inode as? EpollInode else { throw Errno.EINVAL }
    return set
  }

  @Sendable static func control(_ call: SyscallCall) throws -> Int64 {
    let operation = call.int(1)
    let at = call.kernel.isa.epollDataOffset
    var event = [UInt8](repeating: 0, count: at + 8)
    if operation != 2 { event = try call.read(call[3], at + 8) }
    _ = try call.file(0)
    let fd = call.int(2)
    let file = try call.files[fd]
    let events = event.get(0, UInt32.self)
    let data = event.get(at, UInt64.self)
    guard file.inode.kind != .directory,
      !(file.inode.isSeekable && file.inode.kind == .regular)
        || file.inode is EpollInode || file.readQueue != nil
    else { throw Errno.EPERM }
    let set = try set(call)
    guard file.inode !== set else { throw Errno.EINVAL }
    switch operation {
    case 1:
      if let inner = file.inode as? EpollInode, inner.contains(set) { throw Errno.ELOOP }
      try set.add(fd, file, events, data)
    case 2: try set.delete(fd, file)
    case 3: try set.modify(fd, file, events, data)
    default: throw Errno.EINVAL
    }
    return 0
  }

  static func wait(_ call: SyscallCall, deadline: UInt64?, mask: SignalSet?) throws -> Int64 {
    guard call.int(2) > 0, call.int(2) <= 1 << 26 else { throw Errno.EINVAL }
    let set = try set(call)
    let at = call.kernel.isa.epollDataOffset
    let size = at + 8
    try call.checkUser(call[1], UInt64(call.int(2)) &* UInt64(size))
    return try PollCalls.withMask(call, mask) {
      let ready = set.collect(Int(min(call.int(2), 4096)))
      if ready.isEmpty, !PollCalls.isOver(call, deadline) {
        try call.wait(on: set.queues(), until: deadline, orFail: .EINTR)
      }
      var bytes = [UInt8](repeating: 0, count: ready.count * size)
      for (index, item) in ready.enumerated() {
        bytes.put(index * size, item.events)
        bytes.put(index * size + at, item.data)
      }
      try call.write(call[1], bytes)
      return Int64(ready.count)
    }
  }
}

/// The timer behind a timerfd.
final class TimerInode: Inode {
  private(set) var isRealtime: Bool
  private unowned let kernel: Kernel
  private var interval: UInt64 = 0
  private var deadline: UInt64 = 0
  private var expirations: UInt64 = 0
  private var timer: Timer?
  private var queue = WaitQueue()

  package required init(placeholderFor a: Archive) {
    kernel = a.kernel
    isRealtime = false
    super.init(placeholderFor: a)
  }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a("isRealtime", &isRealtime)
    a("interval", &interval)
    a("deadline", &deadline)
    a("expirations", &expirations)
    a.ref("timer", &timer)
    a.ref("queue", &queue)
    a.transient(["kernel"])
  }

  init(_ fileSystem: FileSystem, _ kernel: Kernel, isRealtime: Bool) {
    self.kernel = kernel
    self.isRealtime = isRealtime
    super.init(fileSystem, FileMode(rawValue: 0o600))
  }

  /// Time left and interval, as `struct itimerspec`.
  var setting: [UInt8] {
    let now = kernel.now
    let left = deadline == 0 ? 0 : deadline > now ? deadline - now : 1
    return ABI.itimer(interval: interval, value: left, micro: false)
  }

  /// Arms it for a moment of monotonic time; 0 disarms it.
  func set(_ deadline: UInt64, interval: UInt64) {
    self.interval = interval
    expirations = 0
    arm(deadline)
  }

  private func arm(_ deadline: UInt64) {
    timer?.cancel()
    self.deadline = deadline
    guard deadline != 0 else { return }
    timer = kernel.at(deadline, self)
  }

  fileprivate func expire() {
    let late = kernel.now &- min(deadline, kernel.now)
    expirations &+= 1
    if interval > 0 {
      let missed = late / interval
      expirations &+= missed
      let (next, overflow) = deadline.addingReportingOverflow(interval &* (missed &+ 1))
      arm(overflow ? 0 : next)
    } else {
      deadline = 0
    }
    queue.wakeAll()
  }

  override func read(
    at offset: UInt64, _ count: Int, _ file: OpenFile? = nil
  ) throws(Errno)
    -> [UInt8]
  {
    guard count >= 8 else { throw .EINVAL }
    guard expirations > 0 else { throw .EAGAIN }
    var bytes = [UInt8](repeating: 0, count: 8)
    bytes.put(0, expirations)
    expirations = 0
    return bytes
  }

  override func poll(_ file: OpenFile) -> PollEvents {
    expirations > 0 ? [.input, .readNormal] : []
  }

  override func readQueue(_ file: OpenFile) -> WaitQueue? { queue }
}

extension TimerInode: TimerTarget {
  func timerFired(_ timer: Timer, _ kernel: Kernel) { expire() }
}

extension EpollInode.Item: Archived {
  package static func placeholder(_ a: Archive) -> EpollInode.Item {
    EpollInode.Item(fd: 0, file: nil, events: 0, data: 0)
  }
  package mutating func archive(_ a: Archive) {
    a("fd", &fd)
    a.ref("file", &file)
    a("events", &events)
    a("data", &data)
  }
}
