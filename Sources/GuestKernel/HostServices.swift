/// What the kernel model asks of the world outside the guest.
///
/// Everything that is not determined by the guest itself enters by this door, so that it can be
/// recorded and replayed.
public protocol HostServices: AnyObject {
  /// Takes up to `count` bytes from the console without waiting.
  func consoleRead(_ count: Int) -> ConsoleInput
  /// Writes to the console: stream 1 is standard output, 2 standard error.
  ///
  /// - Returns: `EPIPE` or `EIO` where the host refuses.
  func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno?
  /// `count` bytes of entropy: seeded, so that a run can be repeated.
  func randomBytes(_ count: Int) -> [UInt8]
  /// Nanoseconds since 1970 at the start of the run; the guest's clock adds retired instructions.
  var startOfRun: UInt64 { get }

  /// What the host has at a path below the root directory given to the run. The path is absolute in
  /// the guest, normalised, and does not leave the root. Symbolic links are not followed.
  func hostStat(_ path: String) -> HostNode?
  /// Names in a directory, sorted, without `.` and `..`. `nil` where it can't be read.
  func hostList(_ path: String) -> [String]?
  /// Up to `count` bytes of a regular file from `offset` on. `nil` on a read error.
  func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]?

  /// How many nanoseconds a task may run while others wait, where Linux would give it `standard`.
  func timeSlice(_ standard: UInt64) -> UInt64
  /// What decides what this object will answer next, as far as it is its own: how far a generator of
  /// random bytes has come, which of the answers that were written down is next.
  ///
  /// A snapshot of a machine keeps it.
  var archivedState: [UInt8] { get set }
}

extension HostServices {
  /// As long as Linux would let it.
  public func timeSlice(_ standard: UInt64) -> UInt64 { standard }
  /// Nothing.
  public var archivedState: [UInt8] {
    get { [] }
    set {}
  }
}

/// What was there to be read from the console.
public enum ConsoleInput: Sendable, Equatable {
  /// At least one byte.
  case bytes([UInt8])
  /// No more will come.
  case end
  /// Nothing now.
  case notYet
}

/// A file of the host, as the guest may see it.
public struct HostNode: Sendable, Equatable {
  /// What a node is.
  public enum Kind: Sendable, Equatable {
    /// A regular file.
    case file
    /// A directory.
    case directory
    /// A symbolic link to the given text.
    case symlink(String)
    /// Anything else: not shown to the guest.
    case other
  }
  /// What it is.
  public var kind: Kind
  /// Permission bits (the low 12 of `st_mode`).
  public var permissions: UInt32
  /// Size in bytes.
  public var size: UInt64
  /// Time of last change, in nanoseconds since 1970.
  public var modified: UInt64
  /// The host's inode number.
  public var inode: UInt64

  /// A node of the given parts.
  public init(kind: Kind, permissions: UInt32, size: UInt64, modified: UInt64, inode: UInt64) {
    self.kind = kind
    self.permissions = permissions
    self.size = size
    self.modified = modified
    self.inode = inode
  }
}
