import Engine
import TraceFile

/// What a recorded run was made of: everything that its command line said and that the guest can
/// see, in pairs of names and values.
public struct RunDescription: Sendable, Equatable {
  /// A name and its value; names may come again.
  public struct Pair: Sendable, Equatable {
    /// What it is.
    public var name: String
    /// Its value.
    public var value: String
  }
  /// All of them, in order.
  public var pairs: [Pair] = []

  /// The name of the instruction set of a file that says only which instructions ran.
  static let instructionSet = "instruction set"

  /// None.
  public init() {}

  /// The first value of a name.
  public subscript(name: String) -> String? {
    get { pairs.first { $0.name == name }?.value }
    set {
      pairs.removeAll { $0.name == name }
      if let newValue { pairs.append(Pair(name: name, value: newValue)) }
    }
  }

  /// All values of a name.
  public func all(_ name: String) -> [String] {
    pairs.filter { $0.name == name }.map(\.value)
  }

  /// Adds another value of a name.
  public mutating func add(_ name: String, _ value: String) {
    pairs.append(Pair(name: name, value: value))
  }

  /// Number of pairs, then texts.
  var encoded: [UInt8] {
    var bytes = ByteWriter()
    bytes.number(UInt64(pairs.count))
    for pair in pairs {
      bytes.text(pair.name)
      bytes.text(pair.value)
    }
    return bytes.data
  }

  init(decoding bytes: [UInt8]) throws(TraceFileError) {
    var reader = ByteReader(bytes)
    let count = try reader.number(upTo: reader.left)
    for _ in 0..<count { add(try reader.text(), try reader.text()) }
  }

  // MARK: Values

  func number(_ name: String) throws(TraceFileError) -> UInt64? {
    guard let text = self[name] else { return nil }
    guard let value = UInt64(text) else { throw .malformed("\(name) is '\(text)', not a number") }
    return value
  }

  private func required(_ name: String) throws(TraceFileError) -> String {
    guard let text = self[name] else { throw .missing(name) }
    return text
  }
}

/// What is recorded: the run of a program, or of a bare image.
public enum RecordedCommand {
  /// A program with its arguments under the guest kernel.
  case program([String], ProgramRun.Options)
  /// A bare image.
  case bare(String, BareRun.Options)

  /// Most instructions.
  public var limit: UInt64? {
    switch self {
    case .program(_, let options): options.limit
    case .bare(_, let options): options.limit
    }
  }

  /// Which engine runs it; no matter of the recording.
  public var engine: BackEnd {
    get {
      switch self {
      case .program(_, let options): options.engine
      case .bare(_, let options): options.engine
      }
    }
    set {
      switch self {
      case .program(let command, var options):
        options.engine = newValue
        self = .program(command, options)
      case .bare(let path, var options):
        options.engine = newValue
        self = .bare(path, options)
      }
    }
  }

  /// Whether figures have a fingerprint of the final state.
  public var hashesState: Bool {
    get {
      switch self {
      case .program(_, let options): options.hashesState
      case .bare(_, let options): options.hashesState
      }
    }
    set {
      switch self {
      case .program(let command, var options):
        options.hashesState = newValue
        self = .program(command, options)
      case .bare(let path, var options):
        options.hashesState = newValue
        self = .bare(path, options)
      }
    }
  }

  /// The instruction set.
  var guest: ProgramArchitecture {
    guard case .program(let command, let options) = self else { return .riscv64 }
    return options.architecture ?? ProgramRun.architecture(command.first ?? "", options)
  }

  /// The words for messages.
  public var name: String {
    switch self {
    case .program(let command, _): command.first ?? ""
    case .bare(let path, _): path
    }
  }

  /// Starts it on a new machine.
  public func session(_ chooser: any Chooser) throws(LaunchError) -> any GuestSession {
    switch self {
    case .program(let command, let options):
      try ProgramSession(command, options, chooser: chooser)
    case .bare(let path, let options):
      try BareSession(path, options, chooser: chooser)
    }
  }

  /// The world of the command line.
  public func world() throws(LaunchError) -> LiveChooser {
    switch self {
    case .program(_, let options):
      try ProgramRun.checkRoot(options)
      return ProgramRun.world(options)
    case .bare(_, let options): return try BareRun.world(options)
    }
  }

  // MARK: As pairs

  /// What a trace says of it.
  func describe(_ description: inout RunDescription) {
    switch self {
    case .program(let command, let options):
      description.add("kind", "program")
      for word in command { description.add("argument", word) }
      for entry in options.environment { description.add("environment", entry) }
      if let root = options.root { description.add("root", root) }
      for probe in options.probes { description.add("probe", probe) }
      for path in options.files { description.add("file", path) }
      options.plan.describe(&description)
      description.add("memory", "\(options.memory)")
      description.add("caches", options.cacheModel.rawValue)
      description.add("seed", "\(options.seed)")
      if let limit = options.limit { description.add("limit", "\(limit)") }
    case .bare(let path, let options):
      description.add("kind", "bare")
      description.add("argument", path)
      for drive in options.drives { description.add("drive", drive) }
      description.add("harts", "\(options.harts)")
      description.add("entry", options.entry.rawValue)
      if let address = options.loadAddress { description.add("load-address", "\(address)") }
      if let bootargs = options.bootargs { description.add("append", bootargs) }
      let flags = [
        ("virtio-modern", options.modernVirtIO), ("virtio-console", options.virtIOConsole),
        ("virtio-rng", options.virtIORandom),
      ]
      for (name, isSet) in flags where isSet { description.add(name, "1") }
      description.add("memory", "\(options.memory)")
      description.add("caches", options.cacheModel.rawValue)
      description.add("seed", "\(options.seed)")
      if let limit = options.limit { description.add("limit", "\(limit)") }
    }
  }

  /// What a trace says.
  init(_ description: RunDescription) throws(TraceFileError) {
    let words = description.all("argument")
    guard let first = words.first else { throw .missing("program") }
    let memory = try description.number("memory") ?? 512 << 20
    guard memory <= 1 << 40 else { throw .malformed("\(memory) bytes of RAM") }
    guard let caches = CacheModel(rawValue: description["caches"] ?? "coherent") else {
      throw .malformed("the cache model '\(description["caches"] ?? "")'")
    }
    switch description["kind"] {
    case "program":
      var options = ProgramRun.Options()
      guard let guest = ProgramArchitecture(rawValue: description["guest"] ?? "riscv64") else {
        throw .malformed("the guest '\(description["guest"] ?? "")'")
      }
      options.architecture = guest
      options.memory = memory
      options.cacheModel = caches
      options.environment = description.all("environment")
      options.root = description["root"]
      options.probes = description.all("probe")
      options.files = description.all("file")
      options.plan = try ProbePlan(description)
      options.seed = try description.number("seed") ?? 0
      options.limit = try description.number("limit")
      self = .program(words, options)
    case "bare":
      var options = BareRun.Options()
      options.memory = memory
      options.cacheModel = caches
      options.drives = description.all("drive")
      guard options.drives.count <= BoardMap.virtIOCount else {
        throw .malformed("too many drives")
      }
      guard let harts = Int(exactly: try description.number("harts") ?? 1), (1...64).contains(harts)
      else { throw .malformed("the number of harts") }
      options.harts = harts
      guard let entry = BareImage.EntryMode(rawValue: description["entry"] ?? "auto") else {
        throw .malformed("the entry mode '\(description["entry"] ?? "")'")
      }
      options.entry = entry
      options.loadAddress = try description.number("load-address")
      options.bootargs = description["append"]
      options.modernVirtIO = description["virtio-modern"] != nil
      options.virtIOConsole = description["virtio-console"] != nil
      options.virtIORandom = description["virtio-rng"] != nil
      options.seed = try description.number("seed") ?? 0
      options.limit = try description.number("limit")
      self = .bare(first, options)
    case let kind: throw .malformed("a run of the kind '\(kind ?? "")'")
    }
  }
}
