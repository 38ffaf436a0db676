import Engine

/// What drives a character device.
protocol DeviceDriver: AnyObject {
  func open(_ file: OpenFile) throws(Errno)
  func read(_ count: Int) throws(Errno) -> [UInt8]
  func write(_ bytes: [UInt8]) throws(Errno) -> Int
  func unread(_ bytes: [UInt8])
  func poll() -> PollEvents
  var queue: WaitQueue? { get }
  var isZero: Bool { get }
  /// Whether `lseek` works (and does nothing that matters).
  var isSeekable: Bool { get }
  func ioctl(_ request: UInt32, _ argument: UInt64, _ memory: any UserMemory) throws(Errno) -> Int
}

extension DeviceDriver {
  func open(_ file: OpenFile) throws(Errno) {}
  func unread(_ bytes: [UInt8]) {}
  func poll() -> PollEvents { .always }
  var queue: WaitQueue? { nil }
  var isZero: Bool { false }
  var isSeekable: Bool { true }
  func ioctl(_ request: UInt32, _ argument: UInt64, _ memory: any UserMemory) throws(Errno) -> Int {
    throw .ENOTTY
  }
}

/// A device file.
///
/// One without a driver can't be opened.
final class DeviceNode: Inode {
  /// Which driver serves it.
  enum Driver: Equatable {
    case null, zero, full, random
    /// `/dev/tty`
    case terminal
    /// One of the standard streams.
    case console(stream: Int)

    fileprivate func make(_ console: Console) -> (any DeviceDriver)? {
      switch self {
      case .null: NullDevice()
      case .zero: ZeroDevice(isFull: false)
      case .full: ZeroDevice(isFull: true)
      case .random: console.host.map { RandomDevice($0) }
      case .terminal: ConsoleDevice(console, stream: 1, isControlling: true)
      case .console(let stream): ConsoleDevice(console, stream: stream)
      }
    }
  }

  private var kindOfDriver: Driver?
  private var console: Console
  private var driver: (any DeviceDriver)?

  package required init(placeholderFor a: Archive) {
    console = a.placeholder(Console.self)
    super.init(placeholderFor: a)
  }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a("kindOfDriver", &kindOfDriver)
    a.ref("console", &console)
    a.transient(["driver"])
    if a.isReading { driver = kindOfDriver?.make(console) }
  }

  init(
    _ fileSystem: FileSystem, _ kind: FileKind, permissions: UInt32, _ device: DeviceNumber,
    _ driver: Driver?, _ console: Console, number: UInt64? = nil
  ) {
    kindOfDriver = driver
    self.console = console
    self.driver = driver?.make(console)
    super.init(fileSystem, FileMode(kind, permissions), number: number)
    representedDevice = device
  }

  override var isSeekable: Bool { driver?.isSeekable ?? false }
  override var isZeroDevice: Bool { driver?.isZero ?? false }
  override func open(_ file: OpenFile) throws(Errno) {
    guard let driver else { throw .ENXIO }
    try driver.open(file)
  }
  override func read(
    at offset: UInt64, _ count: Int, _ file: OpenFile? = nil
  ) throws(Errno)
    -> [UInt8]
  {
    guard let driver else { throw .ENXIO }
    return count > 0 ? try driver.read(min(count, OpenFile.pieceLimit)) : []
  }
  override func write(
    at offset: UInt64, _ bytes: [UInt8], _ file: OpenFile? = nil
  ) throws(Errno)
    -> Int
  {
    guard let driver else { throw .ENXIO }
    return try driver.write(bytes)
  }
  override var hasPosition: Bool { false }
  override func unread(_ bytes: [UInt8], _ file: OpenFile) { driver?.unread(bytes) }
  override func poll(_ file: OpenFile) -> PollEvents { driver?.poll() ?? .always }
  override func readQueue(_ file: OpenFile) -> WaitQueue? { driver?.queue }
  override func writeQueue(_ file: OpenFile) -> WaitQueue? { driver?.queue }
  override func ioctl(
    _ request: UInt32, _ argument: UInt64, _ memory: any UserMemory, _ file: OpenFile
  ) throws(Errno) -> Int {
    guard let driver else { throw .ENOTTY }
    return try driver.ioctl(request, argument, memory)
  }
}

/// `/dev/null`.
final class NullDevice: DeviceDriver {
  func read(_ count: Int) throws(Errno) -> [UInt8] { [] }
  func write(_ bytes: [UInt8]) throws(Errno) -> Int { bytes.count }
}

/// `/dev/zero`, and `/dev/full` which refuses writes.
final class ZeroDevice: DeviceDriver {
  private let isFull: Bool
  init(isFull: Bool) { self.isFull = isFull }
  var isZero: Bool { !isFull }
  func read(_ count: Int) throws(Errno) -> [UInt8] { [UInt8](repeating: 0, count: count) }
  func write(_ bytes: [UInt8]) throws(Errno) -> Int {
    guard !isFull || bytes.isEmpty else { throw .ENOSPC }
    return bytes.count
  }
}

/// `/dev/random` and `/dev/urandom`: never wait.
final class RandomDevice: DeviceDriver {
  private weak var host: (any HostServices)?
  init(_ host: any HostServices) { self.host = host }
  func read(_ count: Int) throws(Errno) -> [UInt8] {
    guard let host else { throw .EIO }
    return Array(host.randomBytes(count).prefix(count))
  }
  func write(_ bytes: [UInt8]) throws(Errno) -> Int { bytes.count }
  func ioctl(_ request: UInt32, _ argument: UInt64, _ memory: any UserMemory) throws(Errno) -> Int {
    guard request == IOControl.randomEntropy else { throw .EINVAL }
    try memory.write(argument, littleEndian(Int32(256)))
    return 0
  }
}

/// The console behind `/dev/console`, `/dev/tty` and the standard streams.
///
/// `Deviation:` there is no line discipline of our own: the host's terminal echoes and edits. Modes
/// that a program sets are kept and told back, and decide whether a read ends with the line.
final class Console: Archivable {
  fileprivate weak var host: (any HostServices)?
  private(set) var queue = WaitQueue()
  private let options: VFS.Options
  private var input: [UInt8] = []
  private var isAtEnd = false
  private var termios: [UInt8]
  private var window: [UInt8]
  private var group: Int32?
  /// Process group and session of the caller.
  weak var vfs: VFS?
  private var identity: (group: Int32, session: Int32) {
    guard let proc = vfs?.proc, let status = proc.status(of: proc.currentProcess) else {
      return (1, 1)
    }
    return (status.group, status.session)
  }

  init(_ host: any HostServices, _ options: VFS.Options) {
    self.host = host
    self.options = options
    // `tty_std_termios`: input, output, control and local modes, line discipline, control
    // characters.
    termios =
      littleEndian(UInt32(0o2400)) + littleEndian(UInt32(0o5)) + littleEndian(UInt32(0o277))
      + littleEndian(UInt32(0o105073)) + [0]
      + [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0]
    window = littleEndian(options.rows) + littleEndian(options.columns) + [0, 0, 0, 0]
  }

  package init(placeholderFor a: Archive) {
    host = a.kernel.host
    options = a.kernel.vfs.options
    (termios, window) = ([], [])
  }

  package func archive(_ a: Archive) {
    a.ref("queue", &queue)
    a("input", &input)
    a("isAtEnd", &isAtEnd)
    a("termios", &termios)
    a("window", &window)
    a("group", &group)
    a.ref("vfs", &vfs)
    a.transient(["host", "options"])
    if a.isReading, termios.count != 36 || window.count != 8 { a.fail("a console without modes") }
  }

  /// Whether a stream of the host is a terminal.
  func isTerminal(_ stream: Int) -> Bool {
    options.terminals.indices.contains(stream) && options.terminals[stream]
  }

  private func fill(_ count: Int) {
    guard !isAtEnd, let host else { return }
    switch host.consoleRead(count) {
    case .bytes(let bytes): input.append(contentsOf: bytes)
    case .end: isAtEnd = true
    case .notYet: break
    }
  }

  func read(_ count: Int) throws(Errno) -> [UInt8] {
    if input.isEmpty { fill(min(count, 4096)) }
    guard !input.isEmpty else {
      guard isAtEnd else { throw .EAGAIN }
      // A terminal's end of file is read once; a closed stream's for ever.
      isAtEnd = !isTerminal(0)
      return []
    }
    var taken = min(count, input.count)
    if isTerminal(0), termios[12] & 2 != 0, let line = input[..<taken].firstIndex(of: 10) {
      taken = line + 1
    }
    let bytes = Array(input[..<taken])
    input.removeFirst(taken)
    return bytes
  }

  func unread(_ bytes: [UInt8]) { input.insert(contentsOf: bytes, at: 0) }

  func poll() -> PollEvents {
    if input.isEmpty { fill(4096) }
    return input.isEmpty && !isAtEnd ? .writable : .always
  }

  func ioctl(
    _ request: UInt32, _ argument: UInt64, _ memory: any UserMemory, stream: Int
  )
    throws(Errno) -> Int
  {
    guard isTerminal(stream) else { throw .ENOTTY }
    switch request {
    case IOControl.getTermios: try memory.write(argument, termios)
    case IOControl.getTermios2:
      try memory.write(
        argument, termios + littleEndian(UInt32(38400)) + littleEndian(UInt32(38400)))
    case IOControl.setTermios, IOControl.setTermios2: termios = try memory.read(argument, 36)
    case IOControl.getWindow: try memory.write(argument, window)
    case IOControl.setWindow: window = try memory.read(argument, 8)
    case IOControl.getGroup:
      try memory.write(argument, littleEndian(group ?? identity.group))
    case IOControl.setGroup:
      let bytes = try memory.read(argument, 4)
      let value = bytes.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      guard let wanted = Int32(exactly: value) else { throw .EINVAL }
      group = wanted
    case IOControl.getSession: try memory.write(argument, littleEndian(identity.session))
    case IOControl.bytesToRead:
      _ = poll()
      try memory.write(argument, littleEndian(Int32(clamping: input.count)))
    case IOControl.bytesToWrite: try memory.write(argument, littleEndian(Int32(0)))
    case IOControl.flush:
      guard argument <= 2 else { throw .EINVAL }
      if argument != 1 { input = [] }
    case IOControl.sendBreak, IOControl.flowControl, IOControl.setControlling,
      IOControl.giveUpControlling:
      break
    default: throw .ENOTTY
    }
    return 0
  }
}

/// One stream of the console as a device.
final class ConsoleDevice: DeviceDriver {
  private let console: Console
  private let stream: Int
  /// Whether it is `/dev/tty`, which needs a terminal.
  private let isControlling: Bool

  init(_ console: Console, stream: Int, isControlling: Bool = false) {
    self.console = console
    self.stream = stream
    self.isControlling = isControlling
  }

  var isSeekable: Bool { false }
  var queue: WaitQueue? { console.queue }

  func open(_ file: OpenFile) throws(Errno) {
    if isControlling, !(0...2).contains(where: console.isTerminal) { throw .ENXIO }
  }
  func read(_ count: Int) throws(Errno) -> [UInt8] { try console.read(count) }
  func write(_ bytes: [UInt8]) throws(Errno) -> Int {
    guard !bytes.isEmpty else { return 0 }
    guard let host = console.host else { throw .EIO }
    if let error = host.consoleWrite(bytes, stream: stream == 2 ? 2 : 1) { throw error }
    return bytes.count
  }
  func unread(_ bytes: [UInt8]) { console.unread(bytes) }
  func poll() -> PollEvents { console.poll() }
  func ioctl(_ request: UInt32, _ argument: UInt64, _ memory: any UserMemory) throws(Errno) -> Int {
    let terminal = isControlling ? (0...2).first(where: console.isTerminal) ?? stream : stream
    return try console.ioctl(request, argument, memory, stream: terminal)
  }
}

extension DeviceNode.Driver: Archived {
  package static func placeholder(_ a: Archive) -> DeviceNode.Driver { .null }
  package mutating func archive(_ a: Archive) {
    var number: Int
    switch self {
    case .null: number = 0
    case .zero: number = 1
    case .full: number = 2
    case .random: number = 3
    case .terminal: number = 4
    case .console(let stream): number = 5 + stream
    }
    a("", &number)
    guard a.isReading else { return }
    switch number {
    case 0: self = .null
    case 1: self = .zero
    case 2: self = .full
    case 3: self = .random
    case 4: self = .terminal
    case 5...7: self = .console(stream: number - 5)
    default: a.fail("no driver has number \(number)")
    }
  }
}
