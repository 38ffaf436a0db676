import Foundation
import Glibc
import Testing

/// The `emu` program as its users have it: a process with files for its streams.
final class Child {
  struct Result {
    /// The exit status, or 128 + n after a signal.
    var status: Int32
    var wasKilled = false
    var output: String
    var errors: String

    var errorLines: [Substring] { errors.split(separator: "\n", omittingEmptySubsequences: false) }
  }

  enum Input {
    case nothing
    case bytes([UInt8])
    /// A pipe that stays open and empty.
    case silence
  }

  enum Output {
    case file
    /// A pipe that nobody reads.
    case closed
    /// A device without room.
    case full
  }

  /// `emu` beside the tests, or `nil` where it was not built.
  static let program: String? = {
    let places =
      CommandLine.arguments.map { URL(fileURLWithPath: $0).deletingLastPathComponent() }
      + [Images.repository.appendingPathComponent(".build/debug")]
    // The test bundle is an executable in the build directory; its runner may be elsewhere.
    return places.map { $0.appendingPathComponent("emu").path }
      .first { FileManager.default.isExecutableFile(atPath: $0) && !$0.contains("/usr/bin/") }
  }()

  private static let births = NSLock()

  private let scratch: Scratch
  private var pid: pid_t = 0
  private var silence: [Int32] = []

  init(
    _ arguments: [String], input: Input = .nothing, output: Output = .file,
    environment: [String] = ["PATH=/usr/bin:/bin"]
  ) throws {
    let program = try #require(Self.program)
    scratch = try Scratch()
    // Between the two calls that make a pipe private, no other child may be born.
    Self.births.lock()
    defer { Self.births.unlock() }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var open: [Int32] = []
    defer { for file in open { close(file) } }
    switch input {
    case .nothing: posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    case .bytes(let bytes):
      let path = try scratch.file("input", bytes)
      posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0)
    case .silence:
      silence = try pipe()
      posix_spawn_file_actions_adddup2(&actions, silence[0], 0)
    }
    switch output {
    case .file:
      let path = try scratch.file("output", [])
      posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY, 0)
    case .closed:
      let ends = try pipe()
      close(ends[0])
      open.append(ends[1])
      posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    case .full: posix_spawn_file_actions_addopen(&actions, 1, "/dev/full", O_WRONLY, 0)
    }
    let errors = try scratch.file("errors", [])
    posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY, 0)
    var words = ([program] + arguments).map { strdup($0) } + [nil]
    var variables = environment.map { strdup($0) } + [nil]
    defer { for word in words + variables { free(word) } }
    // The threads that run tests block all signals, and children inherit that.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    for number in [SIGINT, SIGTERM, SIGPIPE] { sigaddset(&signals, number) }
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    let code = posix_spawn(&pid, program, &actions, &attributes, &words, &variables)
    try #require(code == 0, "posix_spawn of \(program): \(code)")
  }

  /// Runs `emu` to its end.
  static func run(
    _ arguments: String..., input: Input = .nothing, output: Output = .file,
    environment: [String] = ["PATH=/usr/bin:/bin"]
  ) throws -> Result {
    try Child(arguments, input: input, output: output, environment: environment).finish()
  }

  private func pipe() throws -> [Int32] {
    var ends: [Int32] = [0, 0]
    try #require(Glibc.pipe(&ends) == 0)
    for end in ends { try #require(fcntl(end, F_SETFD, FD_CLOEXEC) == 0) }
    return ends
  }

  /// What it has written so far.
  var output: String { scratch.text("output") }

  /// Waits until it has written something.
  ///
  /// - Returns: whether it did, within a minute.
  func waitForOutput() -> Bool {
    for _ in 0..<6000 where output.isEmpty { usleep(10_000) }
    return !output.isEmpty
  }

  func send(_ signal: Int32) { kill(pid, signal) }

  /// Waits for its end, and ends it after two minutes.
  func finish() throws -> Result {
    defer { for file in silence { close(file) } }
    var status: Int32 = 0
    var naps = 0
    while waitpid(pid, &status, WNOHANG) == 0 {
      usleep(2_000)
      naps += 1
      if naps == 60_000 {
        Issue.record("emu hangs")
        kill(pid, SIGKILL)
      }
    }
    let killed = status & 0x7f
    return Result(
      status: killed == 0 ? status >> 8 & 0xff : 128 + killed, wasKilled: killed != 0,
      output: output, errors: scratch.text("errors"))
  }
}

/// A directory of the host for one test.
final class Scratch {
  let path: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(
      "emu-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file.
  ///
  /// - Returns: its path.
  @discardableResult
  func file(_ name: String, _ bytes: [UInt8]) throws -> String {
    let full = "\(path)/\(name)"
    try Data(bytes).write(to: URL(fileURLWithPath: full))
    return full
  }

  @discardableResult
  func file(_ name: String, _ text: String) throws -> String { try file(name, Array(text.utf8)) }

  func text(_ name: String) -> String {
    let data = FileManager.default.contents(atPath: "\(path)/\(name)") ?? Data()
    return String(decoding: data, as: UTF8.self)
  }
}
